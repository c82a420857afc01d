//! A survey of all coins of a world: asks the utxo shards for a few partitions at a time, puts what they say together in
//! order. Never sees a coin; holds no more partitions than it has asked for.

use crate::effect::Level;
use crate::msg::Question;
use crate::topology::Plan;
use crate::{Cx, Effect, Msg};
use bytes::Bytes;
use consensus::{BlockHash, Params};
use ledger::snapshot::Metadata;
use ledger::survey::{Aim, Part, Whole};
use ledger::{PARTITIONS, WorldId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How often progress is told.
const PROGRESS_MS: u64 = 2_000;

/// A survey under way.
#[derive(Debug)]
pub(super) struct Survey {
    aim: Aim,
    world: WorldId,
    height: u32,
    tip: BlockHash,
    /// Partitions below this one were asked for, and below that one put to the rest.
    asked: usize,
    used: usize,
    /// Came, but not their turn.
    early: BTreeMap<usize, Part>,
    whole: Whole,
    /// Where the next bytes of the snapshot go, and whether some are being written.
    write_at: u64,
    writing: bool,
    /// Its head comes last: it has the number of coins.
    head_due: bool,
    started_ms: u64,
    said_ms: u64,
}

impl Survey {
    pub(super) fn new(aim: Aim, (world, height, tip): (WorldId, u32, BlockHash), cx: &Cx) -> Survey {
        Survey {
            aim,
            world,
            height,
            tip,
            asked: 0,
            used: 0,
            early: BTreeMap::new(),
            whole: Whole::default(),
            write_at: Metadata::LEN as u64,
            writing: false,
            head_due: aim == Aim::Snapshot,
            started_ms: cx.now_ms,
            said_ms: cx.now_ms,
        }
    }

    /// Asks for the next partitions: two for each utxo shard are under way or wait for their turn.
    pub(super) fn ask(&mut self, question: u64, plan: &Plan, cx: &mut Cx) {
        let ahead = self.used + 2 * usize::from(plan.workers);
        for partition in self.asked..ahead.min(PARTITIONS) {
            let what = Question::Part { partition, world: self.world, aim: self.aim };
            cx.tell(plan.owner(partition), Msg::Look { question, what });
            self.asked = partition + 1;
        }
    }

    pub(super) fn came(&mut self, partition: usize, part: Part) {
        assert!(self.early.insert(partition, part).is_none(), "a partition was surveyed twice");
    }

    /// What was handed out last is written.
    pub(super) fn wrote(&mut self) {
        self.writing = false;
    }

    /// Puts together what has its turn; the answer when that was all.
    pub(super) fn go_on(&mut self, question: u64, params: &Params, cx: &mut Cx) -> Option<String> {
        while !self.writing
            && let Some(part) = self.early.remove(&self.used)
        {
            self.used += 1;
            self.whole.add(&part);
            self.write(question, part.snapshot.into(), cx);
        }
        if cx.now_ms >= self.said_ms + PROGRESS_MS {
            self.said_ms = cx.now_ms;
            let passed = (cx.now_ms - self.started_ms) as f64 / 1e3;
            let left = passed / self.used.max(1) as f64 * (PARTITIONS - self.used) as f64;
            let (used, coins) = (self.used, self.whole.coins);
            let rate = coins as f64 / passed;
            cx.log(
                Level::Info,
                format!("coins: {used} of {PARTITIONS} partitions, {coins} coins, {rate:.0}/s, {left:.0} s left"),
            );
        }
        if self.used < PARTITIONS || self.writing {
            return None;
        }
        if std::mem::take(&mut self.head_due) {
            let head = Metadata { magic: params.magic, base: self.tip, coins: self.whole.coins };
            self.write_at = 0;
            self.write(question, head.to_bytes().to_vec().into(), cx);
            return None;
        }
        Some(self.answer())
    }

    fn write(&mut self, question: u64, bytes: Bytes, cx: &mut Cx) {
        if !bytes.is_empty() {
            let at = self.write_at;
            self.write_at += bytes.len() as u64;
            self.writing = true;
            cx.effect(Effect::Dump { question, at, bytes });
        }
    }

    fn answer(&self) -> String {
        let (height, tip, whole) = (self.height, self.tip.to_string(), &self.whole);
        let json = match self.aim {
            Aim::Digest => {
                let digest = whole.digest().to_string();
                serde_json::to_string(&Digest { height, tip, coins: whole.coins, digest })
            }
            aim => serde_json::to_string(&Stats {
                height,
                bestblock: tip,
                txouts: whole.coins,
                transactions: whole.txs,
                bogosize: whole.bogo_size,
                total_satoshi: whole.value,
                muhash: (aim == Aim::Hashes).then(|| whole.muhash().to_string()),
                hash_serialized_3: whole.hash_serialized().to_string(),
            }),
        };
        json.expect("strings and numbers are always JSON")
    }
}

/// The answer to `digest`.
#[derive(Serialize, Deserialize)]
#[allow(missing_docs)] // named as in the status
pub struct Digest {
    pub height: u32,
    pub tip: String,
    pub coins: u64,
    pub digest: String,
}

/// The answer to `stats` and `dump`: names as in Core's `gettxoutsetinfo`.
#[derive(Serialize, Deserialize)]
#[allow(missing_docs)] // documented there
pub struct Stats {
    pub height: u32,
    pub bestblock: String,
    pub txouts: u64,
    pub transactions: u64,
    pub bogosize: u64,
    pub total_satoshi: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub muhash: Option<String>,
    pub hash_serialized_3: String,
}
