//! What peers may have of the header tree and where blocks lie for them: always from the tip's branch, never from what is
//! only hoped for.

use super::{Chain, Verdict};
use crate::Cx;
use crate::limits::{HASHES_MAX, HEADERS_MAX};
use crate::msg::{Msg, PeerId, Want};
use consensus::BlockHash;
use ledger::NodeId;

impl Chain {
    /// getheaders and getblocks are answered from the tip's branch: what we can also serve.
    pub(super) fn locate(&mut self, peer: PeerId, want: Want, locator: &[BlockHash], stop: &BlockHash, cx: &mut Cx) {
        let max = match want {
            Want::Headers => HEADERS_MAX,
            Want::Hashes => HASHES_MAX,
        };
        let headers = match locator.is_empty() {
            true => self.tree.find(stop).map(|node| self.tree.node(node).header).into_iter().collect(),
            false => {
                let start = self.height(self.tree.locate(locator, self.tip));
                let end = self.height(self.tip).min(start + max as u32);
                let mut at = self.tree.ancestor(self.tip, end).expect("below the tip");
                let mut headers = Vec::with_capacity((end - start) as usize);
                while self.height(at) > start {
                    let node = self.tree.node(at);
                    if node.hash == *stop {
                        headers.clear();
                    }
                    headers.push(node.header);
                    at = node.parent;
                }
                headers.reverse();
                headers
            }
        };
        self.tell_peer(peer, Msg::Located { peer, want, headers }, cx);
    }

    pub(super) fn find(&mut self, peer: PeerId, hash: BlockHash, cx: &mut Cx) {
        let valid = |node: &NodeId| self.life(*node).verdict == Verdict::Valid && !self.life(*node).out;
        let node = self.tree.find(&hash).filter(valid);
        if let Some(node) = node.filter(|node| self.is_too_deep(*node)) {
            let why =
                format!("getdata: block {hash} at height {} lies deeper than a pruned node offers", self.height(node));
            self.punish(peer, why, cx);
        }
        let place = node.filter(|node| !self.is_too_deep(*node)).and_then(|node| self.life(node).place);
        let place = place.filter(|place| place.file == 0);
        self.tell_peer(peer, Msg::Found { peer, hash, place }, cx);
    }
}
