//! A picture of the recent blocks: the tip's line on top, every rival on a lane of its own below it, ghosts where no world
//! of a block lives, and below all the memory of each world.

use crate::report::{Past, World};
use crate::status::format::bytes;
use consensus::BlockHash;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Heights drawn.
pub const COLUMNS: u32 = 144;
/// Lanes drawn, the tip's line included.
const LANES: usize = 6;
/// Pixels between heights, and between lanes.
const STEP: usize = 12;
/// Pixels that the memory of the largest world takes below the lanes.
const MEMORY: usize = 26;

/// A block that is drawn.
#[derive(Clone, Copy, Debug)]
struct Dot {
    height: u32,
    hash: BlockHash,
    parent: BlockHash,
    active: bool,
    /// growing, checked, valid; or past, where no world of it lives.
    status: &'static str,
    invalidated: bool,
    bytes: u64,
}

impl From<&World> for Dot {
    fn from(world: &World) -> Dot {
        let World { height, hash, parent, active, status, invalidated, bytes, .. } = *world;
        Dot { height, hash, parent, active, status, invalidated, bytes }
    }
}

impl From<&Past> for Dot {
    fn from(past: &Past) -> Dot {
        let Past { height, hash, parent, active } = *past;
        Dot { height, hash, parent, active, status: "past", invalidated: false, bytes: 0 }
    }
}

/// Where each of the highest blocks is drawn: column and lane, lowest first.
fn places(dots: impl Iterator<Item = Dot> + Clone) -> Vec<(Dot, (usize, usize))> {
    let top = dots.clone().map(|dot| dot.height).max().unwrap_or(0);
    let lowest = dots.clone().map(|dot| dot.height).filter(|height| height + COLUMNS > top).min().unwrap_or(0);
    let mut shown: Vec<Dot> = dots.filter(|dot| dot.height >= lowest).collect();
    shown.sort_by_key(|dot| (dot.height, !dot.active, dot.hash));
    let mut lanes: BTreeMap<BlockHash, usize> = BTreeMap::new();
    let mut last: Vec<Option<usize>> = vec![None];
    let mut placed = Vec::new();
    for dot in shown {
        let column = (dot.height - lowest) as usize;
        let free = |lane: usize| last[lane].is_none_or(|last| last < column);
        // A lane with a gap is used again; one whose last block may still have a child is not.
        let idle =
            || (1..last.len()).find(|lane| last[*lane].is_none_or(|last| last + 1 < column)).unwrap_or(last.len());
        let lane = match lanes.get(&dot.parent) {
            _ if dot.active => 0,
            Some(lane) if free(*lane) => *lane,
            _ => idle(),
        };
        if lane == last.len() {
            last.push(None);
        }
        last[lane] = Some(column);
        lanes.insert(dot.hash, lane);
        placed.push((dot, (column, lane)));
    }
    placed
}

/// The picture, as SVG, and how many blocks found no room in it.
pub fn svg(worlds: &[World], past: &[Past]) -> (String, usize) {
    let all = places(worlds.iter().map(Dot::from).chain(past.iter().map(Dot::from)));
    let drawn: Vec<_> = all.iter().filter(|(_, (_, lane))| *lane < LANES).collect();
    let at: BTreeMap<BlockHash, (usize, usize)> = drawn.iter().map(|(dot, place)| (dot.hash, *place)).collect();
    let lanes = drawn.iter().map(|(_, (_, lane))| lane + 1).max().unwrap_or(1);
    let columns = drawn.iter().map(|(_, (column, _))| column + 1).max().unwrap_or(1);
    let (width, floor) = (columns * STEP, lanes * 2 * STEP + MEMORY);
    let pixel = |(column, lane): (usize, usize)| (column * STEP + STEP / 2, lane * 2 * STEP + STEP);
    let mut out = format!(
        "<svg class=tree viewBox=\"0 0 {width} {floor}\" width={width} height={floor} \
role=img aria-label=\"recent blocks and their worlds\">"
    );
    let most = drawn.iter().map(|(dot, _)| dot.bytes).max().unwrap_or(0).max(1);
    // What each world takes in memory, the line, each rival's way off it, ghosts where nothing lives any more.
    let mut paths: BTreeMap<&str, String> = BTreeMap::new();
    let mut draw = |class, step: std::fmt::Arguments| {
        let _ = paths.entry(class).or_default().write_fmt(step);
    };
    for (dot, place) in &drawn {
        let (x, y) = pixel(*place);
        let line = place.1 == 0;
        match at.get(&dot.parent) {
            Some(parent) if !line => {
                let ((px, py), class) = (pixel(*parent), if dot.status == "past" { "ghost" } else { "rival" });
                draw(class, format_args!("M{px} {py}C{x} {py} {px} {y} {x} {y}"));
            }
            _ => {}
        }
        let up = dot.bytes as usize * (MEMORY - 4) / most as usize;
        if up > 0 {
            draw(if line { "memory" } else { "memory rival" }, format_args!("M{x} {floor}v-{up}"));
        }
    }
    for (class, path) in paths {
        let _ = write!(out, "<path class=\"{class}\" d=\"{path}\"/>");
    }
    // The tip's line is a stroke for each run of blocks with the same status, and its dots are the stroke's dashes.
    let line: Vec<_> = drawn.iter().filter(|(_, place)| place.1 == 0).collect();
    for run in line.chunk_by(|(a, (left, _)), (b, (right, _))| a.status == b.status && left + 1 == *right) {
        let ((x, y), long) = (pixel(run[0].1), (run.len() - 1) * STEP);
        let _ = write!(out, "<g class={}><path class=line d=\"M{x} {y}h{long}\"/>", run[0].0.status);
        for dots in ["dots", "holes"] {
            let _ = write!(out, "<path class={dots} d=\"M{x} {y}h{long}.1\"/>");
        }
        out.push_str("</g>");
    }
    for (dot, place) in drawn.iter().filter(|(_, place)| place.1 > 0) {
        let ((x, y), class) = (pixel(*place), dot.status);
        let memory = if dot.bytes > 0 { format!(", {}", bytes(dot.bytes)) } else { String::new() };
        let hand = if dot.invalidated { ", invalidated by hand" } else { "" };
        let _ = write!(
            out,
            "<a href=/admin/block/{}><circle class={class} cx={x} cy={y} r=4><title>{} {class}{memory}{hand}</title></circle></a>",
            dot.hash, dot.height,
        );
    }
    out.push_str("</svg>");
    (out, all.len() - drawn.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(height: u32, name: u8, parent: u8, active: bool) -> World {
        World {
            height,
            hash: BlockHash([name; 32]),
            parent: BlockHash([parent; 32]),
            active,
            status: "valid",
            invalidated: false,
            coins: None,
            delta: None,
            bytes: 0,
        }
    }

    #[test]
    fn rivals_get_lanes_and_the_tip_keeps_its_own() {
        //  1 ── 2 ── 3 ── 4 (tip) ── 5 (growing, not yet on the line)
        //   └── 12 ── 13        two rivals from 1
        //   └── 22
        let line = [world(1, 1, 0, true), world(2, 2, 1, true), world(3, 3, 2, true), world(4, 4, 3, true)];
        let rest = [world(5, 5, 4, false), world(2, 12, 1, false), world(3, 13, 12, false), world(2, 22, 1, false)];
        let worlds: Vec<World> = line.into_iter().chain(rest).collect();
        let lanes: BTreeMap<u8, (usize, usize)> =
            places(worlds.iter().map(Dot::from)).iter().map(|(dot, place)| (dot.hash.0[0], *place)).collect();
        assert_eq!([1, 2, 3, 4, 5].map(|name| lanes[&name].1), [0; 5], "what grows on the tip is no rival");
        assert_eq!((lanes[&12], lanes[&13], lanes[&22]), ((1, 1), (2, 1), (1, 2)));
        let past = Past { height: 3, hash: BlockHash([33; 32]), parent: BlockHash([22; 32]), active: false };
        let (svg, left) = svg(&worlds, &[past]);
        assert_eq!((left, svg.matches("<circle").count()), (0, 4));
        let ways = |class: &str| {
            let path = svg.split(&format!("<path class=\"{class}\" d=\"")).nth(1).unwrap_or_default();
            path.split('"').next().unwrap().matches('M').count()
        };
        assert_eq!(["rival", "ghost", "memory", "memory rival"].map(ways), [3, 1, 0, 0]);
        assert!(
            svg.contains("<g class=valid><path class=line d=\"M6 12h48\"/><path class=dots d=\"M6 12h48.1\"/>"),
            "{svg}"
        );
        let ghost =
            format!("<a href=/admin/block/{}><circle class=past cx=30 cy=60 r=4><title>3 past</title>", past.hash);
        assert!(svg.contains(&ghost), "{svg}");
    }

    #[test]
    fn only_recent_heights_and_a_few_lanes_are_drawn() {
        let mut worlds: Vec<World> = (0..200).map(|h| world(h, h as u8, h.wrapping_sub(1) as u8, true)).collect();
        worlds.extend((0..20).map(|i| world(199, 200 + i, 198, false)));
        let (svg, left) = svg(&worlds, &[]);
        assert_eq!(svg.matches("<circle").count(), LANES - 1);
        assert!(svg.contains(&format!("M6 12h{}.1", (COLUMNS as usize - 1) * STEP)), "{svg}");
        assert_eq!(left, 20 - (LANES - 1));
        assert_eq!(places([].into_iter()).len(), 0);
    }
}
