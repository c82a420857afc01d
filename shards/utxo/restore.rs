//! Bases read back from checkpoints, one partition after the other. What is damaged is told, and nothing is believed of it.

use crate::Cx;
use crate::effect::{Effect, Side};
use crate::msg::Msg;
use consensus::BlockHash;
use ledger::Worlds;
use ledger::checkpoint::{Next, Reader};
use std::collections::VecDeque;

/// Bytes read at once: a chunk or two.
const READ_BYTES: u32 = 512 << 10;

/// What is being read.
#[derive(Debug)]
pub(super) struct Restoring {
    side: Side,
    /// Own index of each partition that is to be read, and its checkpoint's block, the current one first.
    left: VecDeque<(usize, (u32, BlockHash))>,
    reader: Reader,
    at: u64,
    coins_here: u64,
    pub(super) coins: u64,
    /// Words that came meanwhile, in order.
    pub(super) later: VecDeque<Msg>,
}

/// How far reading has come.
pub(super) enum Step {
    /// More is on its way.
    On,
    /// Every partition is there.
    Done,
    /// That partition is not; the block of its checkpoint, and what is wrong.
    Damaged(usize, (u32, BlockHash), String),
}

impl Restoring {
    pub(super) fn new(side: Side, left: VecDeque<(usize, (u32, BlockHash))>) -> Restoring {
        Restoring { side, left, reader: Reader::default(), at: 0, coins_here: 0, coins: 0, later: VecDeque::new() }
    }

    /// Whether these bytes are those that were asked for last.
    pub(super) fn waits_for(&self, index: usize, height: u32, at: u64) -> bool {
        self.at == at && self.left.front().is_some_and(|(first, block)| (*first, block.0) == (index, height))
    }

    /// Asks for the next bytes, if there are any to be had.
    pub(super) fn ask(&self, first: usize, cx: &mut Cx) -> Step {
        let Some(&(index, (height, _))) = self.left.front() else { return Step::Done };
        let (side, partition, at) = (self.side, (first + index) as u16, self.at);
        cx.effect(Effect::LoadCheckpoint { side, partition, height, at, len: READ_BYTES });
        Step::On
    }

    /// Takes bytes; fewer than were asked for are the file's last.
    pub(super) fn take(
        &mut self,
        bytes: Result<&[u8], String>,
        first: usize,
        worlds: &mut Worlds,
        cx: &mut Cx,
    ) -> Step {
        let Some(&(index, block)) = self.left.front() else { return Step::Done };
        match bytes.and_then(|bytes| self.read(bytes, index, block, worlds)) {
            Ok(false) => {}
            Ok(true) => {
                self.left.pop_front();
                self.coins += std::mem::take(&mut self.coins_here);
                (self.reader, self.at) = (Reader::default(), 0);
            }
            Err(why) => return Step::Damaged(index, block, why),
        }
        self.ask(first, cx)
    }

    /// Whether that was all of this partition.
    fn read(
        &mut self,
        bytes: &[u8],
        index: usize,
        block: (u32, BlockHash),
        worlds: &mut Worlds,
    ) -> Result<bool, String> {
        self.at += bytes.len() as u64;
        self.reader.feed(bytes);
        let ended = bytes.len() < READ_BYTES as usize;
        loop {
            match self.reader.piece().map_err(|damage| damage.to_string())? {
                // Its name says the height: another branch's may have been put in its place since it was chosen.
                Next::Head(head) if (head.height, head.block) == block => {}
                Next::Head(head) => return Err(format!("it is of block {}", head.block)),
                Next::Piece(piece) => {
                    self.coins_here += worlds.load_chunk(index, piece).map_err(|damage| damage.to_string())?;
                }
                Next::More if ended => return Err(self.reader.short().to_string()),
                Next::More => return Ok(false),
                // Only the end of the file shows that nothing comes behind.
                Next::End(_) if !ended => return Ok(false),
                Next::End(coins) if coins == self.coins_here => return Ok(true),
                Next::End(coins) => return Err(format!("{} coins, it should be {coins}", self.coins_here)),
            }
        }
    }
}
