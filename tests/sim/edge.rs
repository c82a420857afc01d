//! What shards ask of the kernel, and what comes of it: on time, late, wrong or not at all.

use super::*;
use consensus::Header;
use shards::effect::{Effect, Event, Level, ReadError, Side};

/// What happens at some time.
pub(super) enum Due {
    Tick(ShardId),
    Event(ShardId, Event),
    Written(u64),
    FailedWrite(bool),
    Synced,
    FailedSync,
    /// The block index is synced, or some of the pages are given up.
    Punched,
    /// A checkpoint's last piece is written and synced, and it is in its place.
    Saved(ShardId, Side, u16),
    /// The snapshot is gone, with the history's checkpoints.
    EndedSnapshot,
    Kept,
    Remembered,
    /// A link between cores goes on.
    LetGo(usize),
    /// The next bytes of the node reach the peer.
    Deliver(Key),
    /// Bytes of the peer may reach the node.
    Arrive(Key),
    Close(Key, &'static str),
}

impl Sim {
    /// A write or sync of blocks.bin is asked for, or done.
    fn at_disk(&mut self) {
        self.disk_effects += 1;
        if self.fells(|faults| &mut faults.power_cut_at_disk) {
            self.down = Some(Down::Power);
        } else if let Some((_, down)) = self.cut_at.filter(|(at, _)| self.disk_effects >= *at) {
            self.down = Some(down);
        }
    }

    pub(super) fn carry_out(&mut self, shard: ShardId, effect: Effect) {
        let number = match shard {
            ShardId::Peer(i) => i,
            _ => 0,
        };
        let soon = 1 + self.rng.below(20);
        match effect {
            Effect::Connect { conn, to } => self.connect(shard, (number, conn), to),
            Effect::Receive { conn, buffer, room } => self.receive((number, conn), buffer, room),
            Effect::Send { conn, bytes } => self.send(shard, (number, conn), bytes.concat()),
            Effect::SendFile { conn, at, len } => self.send_file(shard, (number, conn), at, len),
            Effect::Close { conn } => self.close((number, conn)),
            Effect::Read { token, file, at, len } => {
                assert_eq!(file, 0);
                let bytes = match self.fells(|faults| &mut faults.failed_read) {
                    true => {
                        self.checks.wounds.push(Stop::DiskFailed);
                        Err(ReadError::Io("blocks.bin: the drive says no".into()))
                    }
                    false => self.disk.read(at, len).map(|bytes| bytes.to_vec().into()).ok_or(ReadError::Short),
                };
                self.after(soon, Due::Event(shard, Event::Read { token, bytes }));
            }
            // Memory is what the kernel makes of it.
            Effect::Peek { token, at, len } => {
                let len = if self.rng.below(2) == 0 { len } else { Header::LEN as u32 };
                self.carry_out(shard, Effect::Read { token, file: 0, at, len });
            }
            Effect::Write { at, pieces } => {
                let write = self.disk.write(at, &pieces);
                let slow = if self.faults.slow_write.strikes(&mut self.rng) { 1_000 } else { 0 };
                let full = self.fells(|faults| &mut faults.full_disk);
                let short = full || self.strikes(Planted::ShortWrite, 8);
                if short {
                    self.disk.shorten(write, &mut self.rng);
                }
                let fails = full || self.fells(|faults| &mut faults.failed_write);
                if fails {
                    self.checks.wounds.push(if full { Stop::DiskFull } else { Stop::DiskFailed });
                }
                self.after(soon * 2 + slow, if fails { Due::FailedWrite(full) } else { Due::Written(write) });
                self.at_disk();
            }
            Effect::Sync => {
                let slow = if self.faults.slow_sync.strikes(&mut self.rng) { self.rng.below(4_000) } else { 0 };
                let fails = self.fells(|faults| &mut faults.failed_sync);
                self.checks.wounds.extend(fails.then_some(Stop::DiskFailed));
                if self.strikes(Planted::LateSync, 8) {
                    self.after(0, Due::Event(shard, Event::Synced));
                } else {
                    self.disk.sync();
                    self.after(soon * 3 + slow, if fails { Due::FailedSync } else { Due::Synced });
                }
                self.at_disk();
            }
            Effect::Index(bytes) => self.rows.append(&bytes),
            Effect::Punch(pages) => {
                self.punch(pages, soon);
                self.at_disk();
            }
            Effect::SaveCheckpoint { side, partition, height, at, bytes, last } => {
                let failed = self.faults.failed_save.strikes(&mut self.rng).then(|| "no room for it".to_owned());
                if failed.is_none() {
                    self.checkpoints.write(side, partition, at, &bytes);
                    if let Some(gone) = last {
                        return self.place(shard, (side, partition, height), gone, soon);
                    }
                }
                self.after(soon, Due::Event(shard, Event::SavedCheckpoint { side, partition, failed }));
            }
            Effect::LoadCheckpoint { side, partition, height, at, len } => {
                let fails = self.harms(side, partition, |faults| &mut faults.failed_load);
                let bytes = match fails {
                    true => Err("the drive says no".into()),
                    false => self.checkpoints.load(side, (partition, height), at, len),
                };
                self.after(soon, Due::Event(shard, Event::LoadedCheckpoint { side, partition, height, at, bytes }));
            }
            Effect::EndSnapshot => {
                self.checks.verified(self.snapshot.as_ref().expect("there is one").block);
                self.ending_snapshot = true;
                self.after(soon * 3, Due::EndedSnapshot);
            }
            Effect::Keep(bytes) => {
                if self.fells(|faults| &mut faults.failed_keep) {
                    return self.after(soon, Due::Event(shard, Event::Kept(Err("no room for it".into()))));
                }
                assert!(self.keeping.replace(bytes).is_none(), "one decision at a time");
                self.after(soon * 3, Due::Kept);
            }
            Effect::Remember(line) => {
                self.remembering.extend(format!("{line}\n").bytes());
                self.after(soon, Due::Remembered);
            }
            Effect::Log(level, line) => {
                if self.verbose {
                    eprintln!("{:>8} ms {shard} {level:?} {line}", self.now_ms);
                }
                assert!(level != Level::Warn || !line.is_empty());
                if level != Level::Debug {
                    self.checks.logged(&line, self.checkpoints.damaged());
                    self.log.push(line);
                }
            }
            Effect::Note(note) => {
                if self.verbose {
                    eprintln!("{:>8} ms {shard} {note:?}", self.now_ms);
                }
            }
            Effect::Stop(why, line) => {
                let right = self.checks.wounds.contains(&why) || self.may_stop == Some(why);
                assert!(right, "the node stops, {why:?}: {line}");
                self.last_words = line;
                // The other cores hear of it a little later.
                self.dying = Some((self.steps + self.rng.below(100), Down::Stopped(why)));
            }
            Effect::Answer { question, text } => self.answers.push((question, text)),
            Effect::SaveAddresses(_) => {}
            other => panic!("{shard} asked for {other:?}"),
        }
    }

    pub(super) fn happen(&mut self, due: Due) {
        match due {
            Due::Tick(shard) => {
                self.after(TICK_MS, Due::Tick(shard));
                if shard == ShardId::Chain {
                    self.learn();
                    if self.fells(|faults| &mut faults.partition) {
                        self.part();
                    }
                }
                self.step(shard, Input::Tick);
            }
            Due::Event(shard, event) => self.step(shard, Input::Event(event)),
            Due::Written(write) => {
                let at = self.disk.written(write);
                self.step(ShardId::Store, Input::Event(Event::Written { at }));
                self.at_disk();
            }
            Due::FailedWrite(full) => self.fail(full, "a write"),
            Due::Synced => {
                self.disk.synced();
                self.step(ShardId::Store, Input::Event(Event::Synced));
                self.at_disk();
            }
            Due::FailedSync => self.fail(false, "a sync"),
            Due::Punched => {
                self.punched();
                self.at_disk();
            }
            Due::Saved(shard, side, partition) => {
                self.checkpoints.placed(side, partition);
                self.step(shard, Input::Event(Event::SavedCheckpoint { side, partition, failed: None }));
            }
            Due::EndedSnapshot => self.forget_snapshot(),
            Due::Kept => {
                let fresh = self.keeping.take().expect("asked for");
                let old = std::mem::replace(&mut self.invalidated, fresh);
                self.unsynced = self.strikes(Planted::UnsyncedRename, 1).then_some(old);
                self.step(ShardId::Chain, Input::Event(Event::Kept(Ok(()))));
            }
            Due::Remembered => self.refused.append(&mut self.remembering),
            Due::LetGo(name) => self.links.let_go(name),
            Due::Deliver(key) => self.deliver(key),
            Due::Arrive(key) => self.arrive(key),
            Due::Close(key, why) => {
                if self.conns.remove(&key).is_some() {
                    let event = Event::Closed { conn: key.1, why: why.into() };
                    self.step(ShardId::Peer(key.0), Input::Event(event));
                }
            }
        }
    }

    /// A write or sync of blocks.bin comes back with an error: the node stops.
    fn fail(&mut self, full: bool, what: &str) {
        self.step(ShardId::Store, Input::Event(Event::Failed { full, what: format!("{what} failed") }));
        assert!(self.dying.is_some(), "{what} failed, and the node goes on");
    }
}
