//! Blocks and transactions as the console has them: names of what lies in a folder, read when they are looked into, so that
//! a script may hold as many as it likes. Knows nothing of the language.

use crate::stored::Stored;
use consensus::{Block, BlockHash, LoneTx, TxView, Txid};
use ledger::headers::NodeId;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Blocks that are kept after they were looked into: what is looked at next is most often in the same.
const CACHED: usize = 8;

/// Why something could not be told.
pub type Said<T> = Result<T, String>;

/// A folder that several sessions may walk.
pub struct Shelf {
    stored: Mutex<Stored>,
    read: Mutex<VecDeque<Arc<Block>>>,
}

/// No step leaves either half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shelf {
    /// A folder that was opened.
    pub fn new(stored: Stored) -> Shelf {
        Shelf { stored: Mutex::new(stored), read: Mutex::default() }
    }

    /// The folder, for a moment.
    pub fn stored(&self) -> MutexGuard<'_, Stored> {
        lock(&self.stored)
    }

    /// A block by its hash.
    pub fn find(&self, name: Name) -> Said<NodeId> {
        let found = self.stored().find(&BlockHash(name.0));
        found.ok_or_else(|| format!("there is no block {name}"))
    }

    /// The same, to be looked into.
    pub fn block(self: &Arc<Shelf>, id: NodeId) -> BlockRef {
        let node = *self.stored().node(id);
        BlockRef { of: Of::Shelf(self.clone(), id), hash: node.hash, height: Some(node.height) }
    }

    fn read(&self, id: NodeId, hash: BlockHash) -> Said<Arc<Block>> {
        let known = lock(&self.read).iter().find(|block| block.hash == hash).cloned();
        if let Some(block) = known {
            return Ok(block);
        }
        let block = Arc::new(self.stored().block(id)?);
        let mut read = lock(&self.read);
        if read.len() == CACHED {
            read.pop_front();
        }
        read.push_back(block.clone());
        Ok(block)
    }
}

/// The hash of a block or a transaction, in internal order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Name(pub [u8; 32]);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", Txid(self.0))
    }
}

impl Name {
    /// Reads 64 hex digits, in angle brackets or not.
    pub fn parse(text: &str) -> Said<Name> {
        let digits = text.trim().trim_start_matches('<').trim_end_matches('>');
        let read = digits.parse::<Txid>().map(|txid| Name(txid.0));
        read.map_err(|_| format!("{text:?} is no name: 64 hex digits were wanted"))
    }
}

/// Bytes: a script, a witness item, a whole block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Data(pub Arc<[u8]>);

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&describe::script::data_word(&self.0))
    }
}

/// Where a block's bytes are.
#[derive(Clone)]
enum Of {
    Shelf(Arc<Shelf>, NodeId),
    Memory(Arc<Block>),
}

/// A block.
#[derive(Clone)]
pub struct BlockRef {
    of: Of,
    /// Its hash.
    pub hash: BlockHash,
    /// Where it stands; none for one that was made of bytes.
    pub height: Option<u32>,
}

impl BlockRef {
    /// One that is made of bytes.
    pub fn of_bytes(bytes: Vec<u8>) -> Said<BlockRef> {
        let block = Block::parse(bytes.into()).map_err(|why| format!("that is no block: {why}"))?;
        Ok(BlockRef { hash: block.hash, height: None, of: Of::Memory(Arc::new(block)) })
    }

    /// It, read.
    pub fn read(&self) -> Said<Arc<Block>> {
        match &self.of {
            Of::Shelf(shelf, id) => shelf.read(*id, self.hash),
            Of::Memory(block) => Ok(block.clone()),
        }
    }

    /// Its name.
    pub fn name(&self) -> Name {
        Name(self.hash.0)
    }
}

impl fmt::Display for BlockRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let height = self.height.map(|height| format!(" height {height}")).unwrap_or_default();
        write!(f, "<BLOCK {}{height}>", self.hash)
    }
}

/// A transaction.
#[derive(Clone)]
pub enum TxRef {
    /// In a block, by number.
    In(BlockRef, usize, Txid),
    /// One that was made of bytes.
    Lone(Arc<LoneTx>),
}

impl TxRef {
    /// One of a block, counted from the end where the number is negative.
    pub fn in_block(block: &BlockRef, number: i64) -> Said<TxRef> {
        let read = block.read()?;
        let number = place(number, read.txs.len(), "transactions")?;
        Ok(TxRef::In(block.clone(), number, read.txs[number].txid))
    }

    /// One that is made of bytes.
    pub fn of_bytes(bytes: Vec<u8>) -> Said<TxRef> {
        let tx = LoneTx::parse(bytes.into()).map_err(|why| format!("that is no transaction: {why}"))?;
        Ok(TxRef::Lone(Arc::new(tx)))
    }

    /// Looks into it.
    pub fn with<T>(&self, look: impl FnOnce(&TxView) -> T) -> Said<T> {
        match self {
            TxRef::Lone(tx) => Ok(look(&tx.view())),
            TxRef::In(block, number, _) => {
                let block = block.read()?;
                Ok(look(&block.view(&block.txs[*number])))
            }
        }
    }

    /// Its name.
    pub fn name(&self) -> Name {
        match self {
            TxRef::In(.., txid) => Name(txid.0),
            TxRef::Lone(tx) => Name(tx.view().tx.txid.0),
        }
    }
}

impl fmt::Display for TxRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<TX {}>", Txid(self.name().0))
    }
}

/// A place in a list of so many, from the end where it is negative.
pub fn place(at: i64, len: usize, what: &str) -> Said<usize> {
    let place = if at < 0 { at.checked_add(len as i64) } else { Some(at) };
    let place = place.and_then(|place| usize::try_from(place).ok()).filter(|place| *place < len);
    place.ok_or_else(|| format!("there is no number {at} among {len} {what}"))
}
