//! The bytes of a block, from a peer or a file, become a body; the chain shard learns of it either way. A large block is read in
//! slices, so that peers are answered meanwhile: one block after the other, in the order they came.

use super::Peer;
use crate::limits::SLICE_BYTES;
use crate::msg::{From, Msg};
use crate::{Cx, ShardId};
use bytes::Bytes;
use consensus::{Block, BlockHash, Parsing, Rule, check_block};
use ledger::{Body, Seed};
use std::sync::Arc;

/// A block on its way.
pub(super) struct Job {
    from: From,
    /// The block that was asked for.
    hash: BlockHash,
    len: usize,
    stage: Stage,
}

enum Stage {
    Bytes(Bytes),
    Parsing(Box<Parsing>),
    Parsed(Box<Block>),
    Checked(Box<Block>),
    Done(Box<Body>),
}

impl Stage {
    /// The next one. Takes as long as reading about `slice` bytes does.
    fn go_on(self, slice: usize, seed: Seed) -> Result<Stage, Rule> {
        let malformed = |_| Rule::Malformed;
        Ok(match self {
            Stage::Bytes(bytes) => Stage::Parsing(Box::new(Parsing::begin(bytes).map_err(malformed)?)),
            Stage::Parsing(mut parsing) => match parsing.go_on(slice).map_err(malformed)? {
                true => Stage::Parsed(Box::new(parsing.block())),
                false => Stage::Parsing(parsing),
            },
            Stage::Parsed(block) => {
                check_block(&block)?;
                Stage::Checked(block)
            }
            Stage::Checked(block) => Stage::Done(Box::new(Body::new(*block, seed))),
            done => done,
        })
    }
}

impl Peer {
    pub(super) fn parse(&mut self, from: From, hash: BlockHash, bytes: Bytes, cx: &mut Cx) {
        self.parsing.push_back(Job { from, hash, len: bytes.len(), stage: Stage::Bytes(bytes) });
        if self.parsing.len() == 1 {
            self.parse_on(cx);
        }
    }

    /// A slice of the first block; a small one is read to its end.
    pub(super) fn parse_on(&mut self, cx: &mut Cx) {
        let Some(Job { from, hash, len, mut stage }) = self.parsing.pop_front() else { return };
        let mut left = SLICE_BYTES;
        let word = loop {
            stage = match stage.go_on(left, self.config.seed) {
                // Only a file can hold another block than the index says: these bytes say nothing of that header.
                Ok(Stage::Done(body)) if body.block.hash != hash => {
                    break Msg::Spoiled { from, hash, rule: Rule::Malformed };
                }
                Ok(Stage::Done(body)) => break Msg::Arrived { from, body: Arc::new(*body) },
                Ok(stage) => stage,
                Err(rule) => break Msg::Spoiled { from, hash, rule },
            };
            left = left.saturating_sub(len);
            if left == 0 {
                self.parsing.push_front(Job { from, hash, len, stage });
                return cx.tell(ShardId::Peer(self.config.number), Msg::Slice);
            }
        };
        self.config.pages.work(self.config.core).block_parsed.add(1);
        cx.tell(ShardId::Chain, word);
        if !self.parsing.is_empty() {
            cx.tell(ShardId::Peer(self.config.number), Msg::Slice);
        }
    }
}
