//! `caesure top`: what each core of a running node spends its time with, live in a terminal, or once as text. Looks at the
//! node's status page like anybody; never knows what else runs here.

use crate::config::Config;
use crate::exit::Fatal;
use crate::look;
use crate::values::WEBUI_PORT;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::Rect;
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Widget};
use serde::Deserialize;
use shards::metrics::Stage;
use shards::status::format::{bytes, duration, thousands};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// Columns of text where there is no terminal.
const COLUMNS: u16 = 110;
/// Where the page is when nobody says otherwise.
const PAGE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), WEBUI_PORT);
/// What a core does besides stages, with a letter and a colour each.
const OUTSIDE: (char, Color) = ('s', Color::Gray);
const IDLE: char = '·';

/// What the page says, as far as it is shown.
#[derive(Deserialize)]
struct Status {
    version: String,
    chain: String,
    state: String,
    why: String,
    height: u32,
    headers: u32,
    blocks_per_s: f64,
    txs_per_s: f64,
    bytes_per_s: f64,
    eta_s: Option<u64>,
    peer_count: usize,
    window: Window,
    cores: Vec<Core>,
}

#[derive(Deserialize)]
struct Window {
    growing: usize,
    parked: usize,
    loading: usize,
    asked: usize,
    bytes: u64,
    bytes_max: u64,
}

#[derive(Clone, Deserialize)]
struct Core {
    core: usize,
    stage_ns: BTreeMap<String, u64>,
    cpu_ns: u64,
    wait_ns: u64,
    step_ns_max: u64,
    link_overrun: u64,
}

/// What a core did between two looks, in parts of the time.
#[derive(Debug, PartialEq)]
struct Share {
    /// Of each stage, in the order of [`Stage::ALL`].
    stages: Vec<f64>,
    /// Sockets, files and the kernel.
    outside: f64,
    /// Inputs that waited, on average.
    waiting: f64,
}

impl Share {
    fn between(before: &Core, after: &Core, seconds: f64) -> Share {
        let part = |before: u64, after: u64| after.saturating_sub(before) as f64 / 1e9 / seconds;
        let stage = |stage: &Stage| {
            let of = |core: &Core| core.stage_ns.get(stage.word()).copied().unwrap_or(0);
            part(of(before), of(after)).min(1.0)
        };
        let stages: Vec<f64> = Stage::ALL.iter().map(stage).collect();
        let inside: f64 = stages.iter().sum();
        let outside = (part(before.cpu_ns, after.cpu_ns).min(1.0) - inside).max(0.0);
        Share { stages, outside, waiting: part(before.wait_ns, after.wait_ns) }
    }

    fn busy(&self) -> f64 {
        self.stages.iter().sum::<f64>() + self.outside
    }

    /// A bar of so many cells.
    fn bar(&self, cells: usize) -> Vec<Span<'static>> {
        let parts = self.stages.iter().zip(Stage::ALL).map(|(share, stage)| (*share, look_of(stage)));
        let (mut spans, mut upto, mut drawn) = (Vec::new(), 0.0, 0);
        for (share, (letter, color)) in parts.chain([(self.outside, OUTSIDE)]) {
            upto += share;
            let end = ((upto * cells as f64).round() as usize).min(cells);
            spans.push(Span::styled(letter.to_string().repeat(end - drawn), Style::new().fg(Color::Black).bg(color)));
            drawn = end;
        }
        spans.push(Span::styled(IDLE.to_string().repeat(cells - drawn), Style::new().fg(Color::DarkGray)));
        spans
    }
}

fn look_of(stage: Stage) -> (char, Color) {
    match stage {
        Stage::Peer => ('p', Color::Cyan),
        Stage::Parse => ('a', Color::LightCyan),
        Stage::Grow => ('g', Color::Green),
        Stage::Fold => ('f', Color::LightGreen),
        Stage::Verify => ('v', Color::Yellow),
        Stage::Chain => ('c', Color::Red),
        Stage::Store => ('w', Color::Magenta),
        Stage::Other => ('o', Color::Blue),
    }
}

/// Two looks and the time between them.
struct View {
    before: Status,
    after: Status,
    seconds: f64,
}

impl View {
    fn lines(&self, columns: usize) -> Vec<Line<'static>> {
        let now = &self.after;
        let mut lines = vec![
            Line::from(vec![
                Span::from(format!("{}  {}  ", now.version, now.chain)),
                Span::from(now.state.clone()).bold(),
                Span::from(format!("  {}", now.why)),
            ]),
            Line::from(format!(
                "height {} of {}{}   {:.0} blocks/s   {} tx/s   {}/s   {} peers",
                thousands(now.height.into()),
                thousands(now.headers.into()),
                now.eta_s.map(|s| format!(", {} left", duration(s))).unwrap_or_default(),
                now.blocks_per_s,
                thousands(now.txs_per_s as u64),
                bytes(now.bytes_per_s as u64),
                now.peer_count
            )),
            Line::from(format!(
                "window {} of {}   blocks growing {}  parked {}  loading {}  asked {}",
                bytes(now.window.bytes),
                bytes(now.window.bytes_max),
                now.window.growing,
                now.window.parked,
                now.window.loading,
                now.window.asked
            )),
            Line::default(),
        ];
        let shares: Vec<Share> = (self.before.cores.iter().zip(&now.cores))
            .map(|(before, after)| Share::between(before, after, self.seconds))
            .collect();
        let cells = columns.saturating_sub(48).max(10);
        lines.push(Line::from(format!("core {:cells$}  busy   waiting  longest step  overruns", "")).bold());
        for (core, share) in now.cores.iter().zip(&shares) {
            let mut spans = vec![Span::from(format!("{:>4} ", core.core))];
            spans.extend(share.bar(cells));
            spans.push(Span::from(format!(
                " {:>4.0} %  {:>8.1}  {:>9.1} ms  {:>8}",
                share.busy() * 100.0,
                share.waiting,
                core.step_ns_max as f64 / 1e6,
                core.link_overrun
            )));
            lines.push(Line::from(spans));
        }
        lines.push(Line::default());
        lines.extend(stages(&shares));
        lines
    }
}

/// What all cores did, stage by stage; and what only one core can do.
fn stages(shares: &[Share]) -> Vec<Line<'static>> {
    let all: f64 = shares.iter().map(Share::busy).sum();
    let of = |what: f64| format!("{:>5.1} %", if all > 0.0 { what / all * 100.0 } else { 0.0 });
    let row = |(letter, color): (char, Color), name: &str, sum: f64, what: &'static str| {
        let key = Span::styled(letter.to_string(), Style::new().fg(Color::Black).bg(color));
        Line::from(vec![key, Span::from(format!(" {name:<7} {}  {what}", of(sum)))])
    };
    let sum = |stage: Stage| shares.iter().map(|share| share.stages[stage as usize]).sum::<f64>();
    let mut lines: Vec<Line> =
        Stage::ALL.into_iter().map(|stage| row(look_of(stage), stage.word(), sum(stage), stage.what())).collect();
    let outside = shares.iter().map(|share| share.outside).sum();
    lines.push(row(OUTSIDE, "system", outside, "sockets, files, kernel"));
    lines
}

/// Shows a node until somebody has seen enough, or once.
pub fn run(config: &Config, once: bool) -> Result<(), Fatal> {
    let page = config.webui.unwrap_or(PAGE);
    let look = || {
        look::status(page, config.users.first()).map_err(|why| {
            Fatal::Runtime(format!("cannot look at http://{page}/admin/status.json: {why}\ntry: caesure --webui, then caesure top --webui ADDRESS"))
        })
    };
    let (mut before, mut at) = (look()?, Instant::now());
    let live = !once && std::io::stdout().is_terminal();
    let mut terminal = live.then(ratatui::init);
    let ended = loop {
        match enough(live) {
            Ok(false) => {}
            Ok(true) => break Ok(()),
            Err(why) => break Err(Fatal::Runtime(format!("cannot read the keyboard: {why}"))),
        }
        let after = match look() {
            Ok(after) => after,
            Err(why) => break Err(why),
        };
        let seconds = at.elapsed().as_secs_f64();
        at = Instant::now();
        let view = View { before, after, seconds };
        let Some(terminal) = &mut terminal else {
            print(&view);
            break Ok(());
        };
        let drawn = terminal.draw(|frame| {
            let area = frame.area();
            let mut lines = view.lines(area.width.into());
            lines.extend([Line::default(), Line::from("q leaves").dark_gray()]);
            frame.render_widget(Paragraph::new(lines), area);
        });
        if let Err(why) = drawn {
            break Err(Fatal::Runtime(format!("cannot draw: {why}")));
        }
        before = view.after;
    };
    if terminal.is_some() {
        ratatui::restore();
    }
    ended
}

/// Waits for the next look; whether a key said that it is enough.
fn enough(live: bool) -> std::io::Result<bool> {
    let until = Instant::now() + EVERY;
    if !live {
        std::thread::sleep(EVERY);
        return Ok(false);
    }
    while event::poll(until.saturating_duration_since(Instant::now()))? {
        if let Event::Key(key) = event::read()?
            && key.kind == KeyEventKind::Press
            && (matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
                || key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn print(view: &View) {
    let lines = view.lines(COLUMNS.into());
    let area = Rect::new(0, 0, COLUMNS, lines.len() as u16);
    let mut buffer = Buffer::empty(area);
    Paragraph::new(lines).render(area, &mut buffer);
    for row in buffer.content.chunks(COLUMNS.into()) {
        let text: String = row.iter().map(|cell| cell.symbol()).collect();
        println!("{}", text.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn core(peer: u64, verify: u64, cpu: u64, wait: u64) -> Core {
        let stage_ns = [("peer".to_owned(), peer), ("verify".to_owned(), verify)].into();
        Core { core: 0, stage_ns, cpu_ns: cpu, wait_ns: wait, step_ns_max: 0, link_overrun: 0 }
    }

    #[test]
    fn shares_are_of_the_time_between_two_looks() {
        let (before, after) = (core(5, 7, 10, 0), core(500_000_005, 250_000_007, 1_600_000_010, 6_000_000_000));
        let share = Share::between(&before, &after, 2.0);
        let [peer, verify] = [Stage::Peer, Stage::Verify].map(|stage| share.stages[stage as usize]);
        assert_eq!((peer, verify, share.waiting), (0.25, 0.125, 3.0));
        assert!((share.outside - 0.425).abs() < 1e-9 && (share.busy() - 0.8).abs() < 1e-9, "{share:?}");
        let bar: String = share.bar(16).iter().map(|span| span.content.clone()).collect();
        assert_eq!(bar, "ppppvvsssssss···");
    }

    #[test]
    fn a_node_that_started_anew_is_no_negative_share() {
        let share = Share::between(&core(9, 9, 9, 9), &core(0, 0, 0, 0), 1.0);
        assert_eq!(share.busy(), 0.0);
        let bar: String = share.bar(3).iter().map(|span| span.content.clone()).collect();
        assert_eq!(bar, "···");
    }
}
