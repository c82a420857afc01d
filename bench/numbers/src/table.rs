//! What every measurement ends with: one table of ours, the other's and the ratio, or JSON, which says where it was measured
//! too; and what it says meanwhile.

use crate::machine;
use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};
use std::fmt::{Display, Formatter, Result};
use std::time::{Duration, Instant};

/// A figure: the median of some, and how far they lie apart.
#[derive(Clone, Copy)]
struct Figure {
    median: f64,
    least: f64,
    most: f64,
}

impl Figure {
    fn of(values: &[f64]) -> Figure {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Figure { median: median(values.to_vec()), least, most }
    }

    fn write(self, whose: &str, into: &mut Value) {
        into[whose] = json!(self.median);
        if self.least < self.most {
            into[format!("{whose}, from")] = json!(self.least);
            into[format!("{whose}, to")] = json!(self.most);
        }
    }
}

impl Display for Figure {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Figure { median, least, most } = self;
        if least < most { write!(f, "{median:.3} [{least:.3} {most:.3}]") } else { write!(f, "{median:.3}") }
    }
}

/// One line.
struct Row {
    what: String,
    unit: &'static str,
    ours: Figure,
    /// What it is held against: whose, and their figure.
    beside: Option<(&'static str, Figure)>,
}

/// Figures that belong together, in rows and columns; where there is none, it means nothing.
pub struct Grid {
    /// Of what.
    pub what: String,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Names of the rows, and as many figures as there are columns.
    pub rows: Vec<(&'static str, Vec<Option<f64>>)>,
}

impl Display for Grid {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "\n{:<40}", self.what)?;
        self.columns.iter().try_for_each(|column| write!(f, " {column:>11}"))?;
        for (name, figures) in &self.rows {
            write!(f, "\n{name:<40}")?;
            for figure in figures {
                let text = figure.map_or(String::new(), |figure| format!("{figure:.3}"));
                write!(f, " {text:>11}")?;
            }
        }
        Ok(())
    }
}

/// All figures of a measurement.
#[derive(Default)]
pub struct Table(Vec<Row>, Vec<Grid>);

impl Table {
    /// A figure of ours alone.
    pub fn row(&mut self, what: impl Into<String>, unit: &'static str, ours: f64) {
        self.spread(what, unit, &[ours], "", &[]);
    }

    /// A figure beside another's, or beside a bound.
    pub fn beside(&mut self, what: impl Into<String>, unit: &'static str, ours: f64, whose: &'static str, theirs: f64) {
        self.spread(what, unit, &[ours], whose, &[theirs]);
    }

    /// The same of several rounds: medians, and in brackets the least and the most. Theirs may be none.
    pub fn spread(
        &mut self,
        what: impl Into<String>,
        unit: &'static str,
        ours: &[f64],
        whose: &'static str,
        theirs: &[f64],
    ) {
        let beside = (!theirs.is_empty()).then(|| (whose, Figure::of(theirs)));
        self.0.push(Row { what: what.into(), unit, ours: Figure::of(ours), beside });
    }

    /// Median, 99.9th percentile and longest of times in nanoseconds, in microseconds, beside a bound where there is one.
    pub fn times(&mut self, what: &str, times: &Histogram<u64>, bound: Option<Duration>) {
        let us = |ns: u64| ns as f64 / 1e3;
        for (part, at) in [("p50", us(times.value_at_quantile(0.5))), ("p99.9", us(times.value_at_quantile(0.999)))] {
            self.row(format!("{what}, {part}"), "us", at);
        }
        let what = format!("{what}, longest of {}", times.len());
        match bound {
            Some(bound) => self.beside(what, "us", us(times.max()), "at most", us(bound.as_nanos() as u64)),
            None => self.row(what, "us", us(times.max())),
        }
    }

    /// Median and 99th percentile of times in nanoseconds, in milliseconds, the latter beside a bound where there is one.
    pub fn percentiles(&mut self, what: &str, times: &Histogram<u64>, bound: Option<Duration>) {
        let ms = |at| times.value_at_quantile(at) as f64 / 1e6;
        self.row(format!("{what}, p50 of {}", times.len()), "ms", ms(0.5));
        match bound {
            Some(bound) => self.beside(format!("{what}, p99"), "ms", ms(0.99), "at most", bound.as_secs_f64() * 1e3),
            None => self.row(format!("{what}, p99"), "ms", ms(0.99)),
        }
    }

    /// Median, 99th and, of a thousand times and more, 99.9th percentile of times in nanoseconds, each beside another's where there
    /// are some.
    pub fn quantiles(
        &mut self,
        what: &str,
        unit: &'static str,
        ours: &Histogram<u64>,
        whose: &'static str,
        theirs: Option<&Histogram<u64>>,
    ) {
        let scale = if unit == "us" { 1e3 } else { 1e6 };
        let many = if ours.len() < 1_000 { 2 } else { 3 };
        for (name, at) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)].into_iter().take(many) {
            let figure = |times: &Histogram<u64>| times.value_at_quantile(at) as f64 / scale;
            let theirs: Vec<f64> = theirs.into_iter().map(figure).collect();
            self.spread(format!("{what}, {name}"), unit, &[figure(ours)], whose, &theirs);
        }
    }

    /// Figures in rows and columns, below the others.
    pub fn grid(&mut self, grid: Grid) {
        self.1.push(grid);
    }

    /// Prints it.
    pub fn print(&self, as_json: bool) {
        if as_json {
            let figure = |row: &Row| {
                let mut fields = json!({"unit": row.unit});
                row.ours.write("ours", &mut fields);
                if let Some((whose, theirs)) = row.beside {
                    theirs.write(whose, &mut fields);
                    fields["ratio"] = json!(row.ours.median / theirs.median);
                }
                (row.what.clone(), fields)
            };
            let mut figures: Map<String, Value> = self.0.iter().map(figure).collect();
            for Grid { what, columns, rows } in &self.1 {
                let row = |figures: &[Option<f64>]| {
                    let named = columns
                        .iter()
                        .zip(figures)
                        .filter_map(|(name, figure)| Some((name.clone(), json!((*figure)?))));
                    named.collect::<Map<String, Value>>()
                };
                let rows: Map<String, Value> =
                    rows.iter().map(|(name, figures)| ((*name).to_owned(), row(figures).into())).collect();
                figures.insert(what.clone(), rows.into());
            }
            return println!("{:#}", json!({"measured on": *machine::FACTS, "figures": figures}));
        }
        println!("{:<54} {:>30} {:>8} {:>34} {:>8}", "", "caesure", "", "beside", "ratio");
        for Row { what, unit, ours, beside } in &self.0 {
            let ratio = |theirs: &Figure| ours.median / theirs.median;
            let beside =
                beside.map(|(whose, theirs)| format!("{:>34} {:>8.3}", format!("{whose} {theirs}"), ratio(&theirs)));
            let ours = ours.to_string();
            println!("{}", format!("{what:<54} {ours:>30} {unit:>8} {}", beside.unwrap_or_default()).trim_end());
        }
        self.1.iter().for_each(|grid| println!("{grid}"));
    }
}

/// The one in the middle, or between the two.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { (values[half - 1] + values[half]) / 2.0 }
}

/// An empty histogram of nanoseconds, exact to a thousandth, up to a quarter of an hour.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 1_000_000_000_000, 3).expect("the bounds are in order")
}

/// Says how far a long task is, every two seconds.
pub struct Teller {
    what: &'static str,
    begun: Instant,
    said: Instant,
}

impl Teller {
    /// The task begins now.
    pub fn new(what: &'static str) -> Teller {
        Teller { what, begun: Instant::now(), said: Instant::now() }
    }

    /// So much is done, of so much.
    pub fn say(&mut self, done: u64, of: u64, unit: &str) {
        if self.said.elapsed() >= Duration::from_secs(2) {
            self.said = Instant::now();
            let seconds = self.begun.elapsed().as_secs_f64();
            let left = seconds * (of as f64 / done.max(1) as f64 - 1.0);
            let rate = done as f64 / seconds;
            let digits = if rate < 10.0 { 1 } else { 0 };
            eprintln!("{}: {done} of {of} {unit}, {rate:.digits$} {unit}/s, {left:.0} s left", self.what);
        }
    }
}
