//! Rows of one table on their way into one Parquet file: columns in memory up to a bound, then a row group of the file.
//!
//! Knows schemas, and no block.

use crate::exit::Fatal;
use crate::trouble;
use parquet::basic::{Compression, Type as Physical, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows of a row group at most: what DuckDB cuts its own tables into, and reads with one thread.
const GROUP_ROWS: usize = 122_880;
/// Bytes of a row group at most, before they are packed, but for the last row.
const GROUP_BYTES: usize = 32 << 20;
/// Of zstd: the hex digits of a hash come to half.
const LEVEL: i32 = 3;

/// A value of a row.
#[derive(Clone, Copy)]
pub enum Cell<'a> {
    Null,
    Bool(bool),
    Int(i32),
    Long(i64),
    Text(&'a str),
    /// Hex digits of these bytes.
    Hex(&'a [u8]),
    /// Hex digits of these bytes from the last to the first, as hashes are shown.
    Hash(&'a [u8; 32]),
}

/// The values of a column that are not null.
enum Values {
    Bool(Vec<bool>),
    Int(Vec<i32>),
    Long(Vec<i64>),
    /// End to end, and where each ends.
    Text(Vec<u8>, Vec<usize>),
}

impl Values {
    fn of(physical: Physical) -> Values {
        match physical {
            Physical::BOOLEAN => Values::Bool(Vec::new()),
            Physical::INT32 => Values::Int(Vec::new()),
            Physical::INT64 => Values::Long(Vec::new()),
            Physical::BYTE_ARRAY => Values::Text(Vec::new(), Vec::new()),
            other => unreachable!("no schema here has {other}"),
        }
    }

    /// Takes one in; the bytes that it takes.
    fn push(&mut self, cell: Cell) -> usize {
        match (self, cell) {
            (Values::Bool(all), Cell::Bool(value)) => all.push(value),
            (Values::Int(all), Cell::Int(value)) => all.push(value),
            (Values::Long(all), Cell::Long(value)) => all.push(value),
            (Values::Text(text, ends), cell) => {
                let start = text.len();
                match cell {
                    Cell::Text(value) => text.extend_from_slice(value.as_bytes()),
                    Cell::Hex(bytes) => bytes.iter().for_each(|byte| text.extend(digits(*byte))),
                    Cell::Hash(bytes) => bytes.iter().rev().for_each(|byte| text.extend(digits(*byte))),
                    _ => unreachable!("text is due"),
                }
                ends.push(text.len());
                return text.len() - start + size_of::<usize>();
            }
            _ => unreachable!("a row is of the types of its schema"),
        }
        size_of::<i64>()
    }

    /// Writes them as a column of a row group, and forgets them.
    fn write(&mut self, out: &mut SerializedColumnWriter, defined: Option<&[i16]>) -> Result<(), ParquetError> {
        match self {
            Values::Bool(all) => out.typed::<BoolType>().write_batch(&std::mem::take(all), defined, None)?,
            Values::Int(all) => out.typed::<Int32Type>().write_batch(&std::mem::take(all), defined, None)?,
            Values::Long(all) => out.typed::<Int64Type>().write_batch(&std::mem::take(all), defined, None)?,
            Values::Text(text, ends) => {
                let (text, mut start) = (bytes::Bytes::from(std::mem::take(text)), 0);
                let slice = |end| ByteArray::from(text.slice(std::mem::replace(&mut start, end)..end));
                let all: Vec<ByteArray> = std::mem::take(ends).into_iter().map(slice).collect();
                out.typed::<ByteArrayType>().write_batch(&all, defined, None)?
            }
        };
        Ok(())
    }
}

/// The two hex digits of a byte.
fn digits(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

/// A column of the row group to come.
struct Column {
    values: Values,
    /// For one that may be null: 1 where there is a value, 0 where there is none.
    defined: Option<Vec<i16>>,
}

/// A file with its table.
pub struct Table {
    path: PathBuf,
    out: SerializedFileWriter<BufWriter<File>>,
    columns: Vec<Column>,
    /// Of the row group to come.
    rows: usize,
    bytes: usize,
    written: u64,
}

impl Table {
    /// A new one with this schema, in the words of Parquet. Values of the columns in `distinct` hardly ever come twice.
    pub fn create(path: PathBuf, schema: &str, distinct: &[&str]) -> Result<Table, Fatal> {
        let file = File::create_new(&path).map_err(|why| trouble::fatal(&path, "making of", why))?;
        let schema = Arc::new(parse_message_type(schema).expect("one of ours"));
        let level = ZstdLevel::try_new(LEVEL).expect("one of 22");
        let mut how = WriterProperties::builder().set_compression(Compression::ZSTD(level));
        for name in distinct {
            how = how.set_column_dictionary_enabled(ColumnPath::from(*name), false);
        }
        let columns = schema.get_fields().iter().map(|field| Column {
            values: Values::of(field.get_physical_type()),
            defined: field.is_optional().then(Vec::new),
        });
        let columns = columns.collect();
        let out = SerializedFileWriter::new(BufWriter::new(file), schema, Arc::new(how.build()));
        let out = out.map_err(|why| failed(&path, why))?;
        Ok(Table { path, out, columns, rows: 0, bytes: 0, written: 0 })
    }

    /// Takes in a row.
    pub fn row<'a>(&mut self, cells: impl IntoIterator<Item = Cell<'a>>) -> Result<(), Fatal> {
        let mut columns = self.columns.iter_mut();
        for cell in cells {
            let Column { values, defined } = columns.next().expect("no more cells than columns");
            let null = matches!(cell, Cell::Null);
            assert!(!null || defined.is_some(), "a value is due");
            defined.iter_mut().for_each(|defined| defined.push((!null).into()));
            if !null {
                self.bytes += values.push(cell);
            }
        }
        assert!(columns.next().is_none(), "a cell for each column");
        self.rows += 1;
        match self.rows == GROUP_ROWS || self.bytes >= GROUP_BYTES {
            true => self.write().map_err(|why| failed(&self.path, why)),
            false => Ok(()),
        }
    }

    /// Makes a row group of what is in memory.
    fn write(&mut self) -> Result<(), ParquetError> {
        let mut group = self.out.next_row_group()?;
        for Column { values, defined } in &mut self.columns {
            let mut out = group.next_column()?.expect("as many as the schema has");
            values.write(&mut out, defined.as_mut().map(std::mem::take).as_deref())?;
            out.close()?;
        }
        group.close()?;
        self.written += self.rows as u64;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }

    /// Ends the file, durably; its rows.
    pub fn close(mut self) -> Result<u64, Fatal> {
        let last = if self.rows > 0 { self.write() } else { Ok(()) };
        let closed = last.and_then(|()| self.out.into_inner()).and_then(|file| {
            let file = file.into_inner().map_err(|why| why.into_error())?;
            Ok(file.sync_all()?)
        });
        closed.map_err(|why| failed(&self.path, why))?;
        Ok(self.written)
    }
}

fn failed(path: &Path, why: ParquetError) -> Fatal {
    let why = match why {
        ParquetError::External(why) => why.downcast::<io::Error>().map_or_else(io::Error::other, |why| *why),
        why => io::Error::other(why),
    };
    trouble::fatal(path, "write to", why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    const SCHEMA: &str = "message m { required int64 number; optional binary text (STRING); required boolean odd; }";

    /// Writes rows with so many bytes of text, null in each third; how many each row group has.
    fn groups(rows: usize, bytes: usize) -> Vec<i64> {
        let path = std::env::temp_dir().join(format!("caesure-table-{}-{rows}", std::process::id()));
        let mut table = Table::create(path.clone(), SCHEMA, &["text"]).unwrap();
        assert!(Table::create(path.clone(), SCHEMA, &[]).is_err(), "it is there already");
        let bytes_of = |number: usize| vec![number as u8; bytes / 2];
        for number in 0..rows {
            let text = bytes_of(number);
            let text = if number % 3 == 0 { Cell::Null } else { Cell::Hex(&text) };
            table.row([Cell::Long(number as i64), text, Cell::Bool(number % 2 == 1)]).unwrap();
        }
        assert_eq!(table.close().unwrap(), rows as u64);
        let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
        std::fs::remove_file(path).unwrap();
        let mut read = 0;
        for row in reader.get_row_iter(None).unwrap().map(Result::unwrap) {
            assert_eq!(row.get_long(0).unwrap(), read as i64);
            assert_eq!(row.get_bool(2).unwrap(), read % 2 == 1);
            match read % 3 {
                0 => assert!(row.is_null(1).unwrap()),
                _ => assert_eq!(*row.get_string(1).unwrap(), describe::hex(&bytes_of(read))),
            }
            read += 1;
        }
        assert_eq!(read, rows);
        reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect()
    }

    #[test]
    fn row_groups_are_bounded_in_rows_and_bytes() {
        let most = GROUP_ROWS as i64;
        assert_eq!(groups(2 * GROUP_ROWS + 1, 8), [most, most, 1]);
        assert_eq!(groups(GROUP_ROWS, 2), [most]);
        let few = groups(1_000, 200_000);
        // A row of three has no text.
        let each = (GROUP_BYTES * 3 / 2).div_ceil(200_000) as i64;
        assert!(few.len() > 3 && few[..3].iter().all(|rows| (each - 3..=each).contains(rows)), "{few:?}, not {each}");
    }
}
