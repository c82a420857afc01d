//! A picture of the recent worlds: the tip's line on top, every rival on a lane of its own below it.
//! Knows heights, hashes and parents only.

use super::format::escape;
use crate::report::World;
use consensus::BlockHash;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Heights drawn.
const COLUMNS: u32 = 36;
/// Lanes drawn, the tip's line included.
const LANES: usize = 6;
/// Pixels between heights, and between lanes.
const STEP: usize = 26;

/// Where each of the highest worlds is drawn: column and lane, lowest first.
fn places(worlds: &[World]) -> Vec<(&World, (usize, usize))> {
    let top = worlds.iter().map(|world| world.height).max().unwrap_or(0);
    let lowest = worlds.iter().map(|world| world.height).filter(|height| height + COLUMNS > top).min().unwrap_or(0);
    let mut shown: Vec<&World> = worlds.iter().filter(|world| world.height >= lowest).collect();
    shown.sort_by_key(|world| (world.height, !world.active, world.hash));
    let mut lanes: BTreeMap<BlockHash, usize> = BTreeMap::new();
    let mut last: Vec<Option<usize>> = vec![None];
    let mut placed = Vec::new();
    for world in shown {
        let column = (world.height - lowest) as usize;
        let free = |lane: usize| last[lane].is_none_or(|last| last < column);
        // A lane with a gap is used again; one whose last world may still have a child is not.
        let idle =
            || (1..last.len()).find(|lane| last[*lane].is_none_or(|last| last + 1 < column)).unwrap_or(last.len());
        let lane = match lanes.get(&world.parent) {
            _ if world.active => 0,
            Some(lane) if free(*lane) => *lane,
            _ => idle(),
        };
        if lane == last.len() {
            last.push(None);
        }
        last[lane] = Some(column);
        lanes.insert(world.hash, lane);
        placed.push((world, (column, lane)));
    }
    placed
}

/// The picture, as SVG, and how many worlds found no room in it.
pub fn svg(worlds: &[World]) -> (String, usize) {
    let all = places(worlds);
    let drawn: Vec<_> = all.iter().filter(|(_, (_, lane))| *lane < LANES).collect();
    let at: BTreeMap<BlockHash, (usize, usize)> = drawn.iter().map(|(world, place)| (world.hash, *place)).collect();
    let lanes = drawn.iter().map(|(_, (_, lane))| lane + 1).max().unwrap_or(1);
    let (width, height) = (COLUMNS as usize * STEP, lanes * STEP);
    let pixel = |(column, lane): (usize, usize)| (column * STEP + STEP / 2, lane * STEP + STEP / 2);
    let mut out = format!(
        "<svg class=forks viewBox=\"0 0 {width} {height}\" width={width} height={height} \
role=img aria-label=\"recent worlds\">"
    );
    for (world, place) in &drawn {
        let Some(parent) = at.get(&world.parent) else { continue };
        let ((x, y), (px, py)) = (pixel(*place), pixel(*parent));
        let bend = (px + x) / 2;
        let line = if place.1 == 0 { "l" } else { "l rival" };
        let _ = write!(out, "<path class=\"{line}\" d=\"M{px} {py}C{bend} {py} {bend} {y} {x} {y}\"/>");
    }
    for (world, place) in &drawn {
        let (x, y) = pixel(*place);
        let line = if place.1 == 0 { "" } else { " rival" };
        let (class, hand) = (escape(world.status, 12), if world.invalidated { ", invalidated by hand" } else { "" });
        let _ = write!(
            out,
            "<circle class=\"{class}{line}\" cx={x} cy={y} r=5><title>{} {class}{hand} {:.16}</title></circle>",
            world.height,
            world.hash.to_string().trim_start_matches('0'),
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
            places(&worlds).iter().map(|(world, place)| (world.hash.0[0], *place)).collect();
        assert_eq!([1, 2, 3, 4, 5].map(|name| lanes[&name].1), [0; 5], "what grows on the tip is no rival");
        assert_eq!((lanes[&12], lanes[&13], lanes[&22]), ((1, 1), (2, 1), (1, 2)));
        let (svg, left) = svg(&worlds);
        assert_eq!((left, svg.matches("<circle").count(), svg.matches("<path").count()), (0, 8, 7));
    }

    #[test]
    fn only_recent_heights_and_a_few_lanes_are_drawn() {
        let mut worlds: Vec<World> = (0..100).map(|h| world(h, h as u8, h.wrapping_sub(1) as u8, true)).collect();
        worlds.extend((0..20).map(|i| world(99, 200 + i, 98, false)));
        let (svg, left) = svg(&worlds);
        assert_eq!(svg.matches("<circle").count(), COLUMNS as usize + LANES - 1);
        assert_eq!(left, 20 - (LANES - 1));
        assert_eq!(places(&[]).len(), 0);
    }
}
