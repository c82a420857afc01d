//! Cores on the page: how busy each was over the last minute, what with, and how many words go from each to each.

use super::heading;
use crate::status::format::{bytes, percent, rate};
use crate::status::view::{SAMPLES, Spent, View};
use std::fmt::Write;

/// Cores shown one by one.
const CORES_MAX: usize = 16;
/// Shades of a strip and of the matrix.
const SHADES: usize = 5;

/// Cells side by side: the first, its row, how many.
type Run = (usize, usize, usize);

/// Cells of unit size in each of their shades, `(x, y, shade)` with shades from 1 on, in order; neighbours in a row are one.
fn shaded(cells: impl Iterator<Item = (usize, usize, usize)>, out: &mut String) {
    let mut paths: [(String, Option<Run>); SHADES] = Default::default();
    let draw = |path: &mut String, (x, y, long): Run| {
        let _ = write!(path, "M{x} {y}.5h{long}");
    };
    for (x, y, shade) in cells.filter(|cell| cell.2 > 0) {
        let (path, run) = &mut paths[shade.min(SHADES) - 1];
        match run {
            Some((from, row, long)) if *row == y && *from + *long == x => *long += 1,
            _ => {
                run.take().into_iter().for_each(|run| draw(path, run));
                *run = Some((x, y, 1));
            }
        }
    }
    for (shade, (mut path, run)) in paths.into_iter().enumerate() {
        run.into_iter().for_each(|run| draw(&mut path, run));
        if !path.is_empty() {
            let _ = write!(out, "<path class=h{} d=\"{path}\"/>", shade + 1);
        }
    }
}

/// A strip for each core, darker where it was busier.
pub(super) fn strips(view: &View, out: &mut String) {
    let (count, desk) = (view.setup.plan.cores(), view.setup.plan.desk());
    let percents: Vec<u16> = (0..=desk).map(|core| view.load.now(core) / 10).collect();
    heading(out, "cores", "last 40 s · busy · inputs waiting");
    for core in (0..count.min(CORES_MAX)).chain([desk]) {
        let name = if core == desk { "desk".into() } else { core.to_string() };
        let shards = &view.setup.plan.executors[core];
        let names: Vec<String> = shards.iter().map(|shard| shard.to_string()).collect();
        let history = &view.load.busy[core];
        let first = SAMPLES - history.len();
        let _ = write!(
            out,
            "<div class=core title=\"{}\"><span>{name}</span><svg class=strip viewBox=\"0 0 {SAMPLES} 1\" \
preserveAspectRatio=none>",
            names.join(" "),
        );
        let shade = |permille: u16| usize::from(permille.div_ceil(1_000 / SHADES as u16));
        shaded(history.iter().enumerate().map(|(i, permille)| (first + i, 0, shade(*permille))), out);
        let _ = write!(out, "</svg><b>{} %</b>", percents[core]);
        let spent = view.load.spent[core];
        parts(&spent, out);
        let _ = write!(out, "<small>{}</small></div>", rate(spent.waiting as f64 / 1e3));
    }
    if count > CORES_MAX {
        let rest = &percents[CORES_MAX..count];
        let mean = rest.iter().map(|p| usize::from(*p)).sum::<usize>() / rest.len();
        let most = rest.iter().max().expect("there are more");
        let _ = write!(out, "<p class=soft>and {} more, {mean} % busy on average, {most} % at most</p>", rest.len());
    }
    legend(view, out);
    let [received, sent] = view.load.net;
    let _ = write!(out, "<p class=soft>network: {}/s in, {}/s out</p>", bytes(received), bytes(sent));
}

/// What a core did over the last second, as a bar.
fn parts(spent: &Spent, out: &mut String) {
    out.push_str("<div class=spent>");
    for ((name, _), part) in Spent::names().zip(spent.parts).filter(|(_, part)| *part > 0) {
        let _ = write!(out, "<i class={name} style=\"width:{:.1}%\"></i>", f64::from(part) / 10.0);
    }
    out.push_str("</div>");
}

/// What the colours mean, and the share of each in what all cores did.
fn legend(view: &View, out: &mut String) {
    let sum = |part: usize| view.load.spent.iter().map(|spent| u64::from(spent.parts[part])).sum::<u64>();
    let all: u64 = (0..Spent::PARTS).map(sum).sum();
    out.push_str("<p class=legend>");
    for (part, (name, what)) in Spent::names().enumerate() {
        let _ =
            write!(out, "<span title=\"{what}\"><i class={name}></i>{name} {:.0} %</span>", percent(sum(part), all));
    }
    out.push_str("</p>");
}

/// Who spoke to whom over the last second: a row for each sender, a shade for each power of four.
pub(super) fn matrix(view: &View, out: &mut String) {
    let (count, desk) = (view.setup.plan.cores(), view.setup.plan.desk());
    let shown: Vec<usize> = (0..count.min(CORES_MAX)).chain([desk]).collect();
    let words = &view.load.words;
    let all: u64 = words.iter().flatten().sum();
    let most = words.iter().flatten().copied().max().unwrap_or(0);
    heading(out, "words from core to core", &format!("{}/s, {}/s at most", rate(all as f64), rate(most as f64)));
    let side = shown.len();
    let _ = write!(
        out,
        "<div class=matrix><span class=soft>from</span><svg style=\"max-width:{}px\" viewBox=\"0 0 {side} {side}\" role=img \
aria-label=\"words a second, a row for each core that sends, a column for each that receives\">",
        side * 24
    );
    let shade =
        |count: u64| (most > 0 && count > 0).then(|| SHADES.saturating_sub((most / count).ilog(4) as usize).max(1));
    let cell = |(y, from): (usize, &usize)| {
        let row = &words[*from];
        shown
            .iter()
            .enumerate()
            .map(move |(x, to)| (x, y, row.get(*to).copied().and_then(shade).unwrap_or(0)))
            .collect::<Vec<_>>()
    };
    shaded(shown.iter().enumerate().flat_map(cell), out);
    let last = if count > CORES_MAX {
        format!("the first {CORES_MAX} cores and the desk")
    } else {
        format!("{count} cores and the desk")
    };
    let _ = write!(
        out,
        "</svg><span class=soft>to: {last}; the dark ones most, each shade a quarter of the next</span></div>"
    );
}
