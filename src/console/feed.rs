//! Blocks as they come: `let q = db.subscribe(); q.pop()`. Reads the files, so that it works offline too.

use super::language::{Came, Db};
use super::objects::{BlockRef, Shelf};
use rhai::{Dynamic, Engine};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a block is waited for …
const WAIT: Duration = Duration::from_secs(1);
/// … and between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// What is appended to blocks.bin from some moment on.
#[derive(Clone)]
pub struct Feed {
    shelf: Arc<Shelf>,
    /// What lies before this offset came before.
    at: u64,
}

impl Feed {
    fn new(shelf: Arc<Shelf>) -> Came<Feed> {
        let at = {
            let mut stored = shelf.stored();
            stored.follow().map_err(|why| why.to_string())?;
            stored.records().1
        };
        Ok(Feed { shelf, at })
    }

    /// What came, in the order in which it lies.
    fn next(&mut self) -> Came<Option<BlockRef>> {
        let found = {
            let mut stored = self.shelf.stored();
            stored.follow().map_err(|why| why.to_string())?;
            stored.behind(self.at).first().map(|record| (record.end(), stored.find(&record.hash)))
        };
        let Some((end, id)) = found else { return Ok(None) };
        self.at = end;
        match id {
            Some(id) => Ok(Some(self.shelf.block(id))),
            // Nobody knows what it builds on.
            None => self.next(),
        }
    }

    fn pop(&mut self) -> Came<Dynamic> {
        let until = Instant::now() + WAIT;
        loop {
            match self.next()? {
                Some(block) => return Ok(Dynamic::from(block)),
                None if Instant::now() >= until => return Ok(Dynamic::UNIT),
                None => std::thread::sleep(LOOK),
            }
        }
    }
}

/// Everything of this file.
pub fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Feed>("QUEUE");
    engine.register_get("block_broker", |db: &mut Db| db.clone());
    engine.register_fn("subscribe", |db: &mut Db| Feed::new(db.0.clone()));
    engine.register_fn("pop", Feed::pop);
}
