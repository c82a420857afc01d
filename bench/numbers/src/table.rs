//! What every measurement ends with: one table of ours, the other's and the ratio, or JSON; and what it says meanwhile.

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

/// One figure.
pub struct Row {
    what: String,
    unit: &'static str,
    ours: f64,
    /// What it is held against: whose, and their figure.
    beside: Option<(&'static str, f64)>,
}

/// All figures of a measurement.
#[derive(Default)]
pub struct Table(Vec<Row>);

impl Table {
    /// A figure of ours alone.
    pub fn row(&mut self, what: impl Into<String>, unit: &'static str, ours: f64) {
        self.0.push(Row { what: what.into(), unit, ours, beside: None });
    }

    /// A figure beside another's, or beside a bound.
    pub fn beside(&mut self, what: impl Into<String>, unit: &'static str, ours: f64, whose: &'static str, theirs: f64) {
        self.0.push(Row { what: what.into(), unit, ours, beside: Some((whose, theirs)) });
    }

    /// Median, 99.9th percentile and longest of times in nanoseconds, in microseconds, beside a bound where there is one.
    pub fn times(&mut self, what: &str, times: &Histogram<u64>, bound: Option<Duration>) {
        let us = |ns: u64| ns as f64 / 1e3;
        for (part, at) in [("p50", us(times.value_at_quantile(0.5))), ("p99.9", us(times.value_at_quantile(0.999)))] {
            self.row(format!("{what}, {part}"), "us", at);
        }
        let what = format!("{what}, longest of {}", times.len());
        match bound {
            Some(bound) => self.beside(what, "us", us(times.max()), "at most", us(bound.as_nanos() as u64)),
            None => self.row(what, "us", us(times.max())),
        }
    }

    /// Prints it.
    pub fn print(&self, as_json: bool) {
        if as_json {
            let figure = |row: &Row| {
                let mut fields = json!({"unit": row.unit, "ours": row.ours});
                if let Some((whose, theirs)) = row.beside {
                    fields[whose] = json!(theirs);
                    fields["ratio"] = json!(row.ours / theirs);
                }
                (row.what.clone(), fields)
            };
            let all: Map<String, Value> = self.0.iter().map(figure).collect();
            return println!("{:#}", Value::Object(all));
        }
        println!("{:<48} {:>12} {:>8} {:>24} {:>8}", "", "caesure", "", "beside", "ratio");
        for Row { what, unit, ours, beside } in &self.0 {
            let beside =
                beside.map(|(whose, theirs)| format!("{:>24} {:>8.3}", format!("{whose} {theirs:.3}"), ours / theirs));
            println!("{}", format!("{what:<48} {ours:>12.3} {unit:>8} {}", beside.unwrap_or_default()).trim_end());
        }
    }
}

/// The one in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// An empty histogram of nanoseconds, exact to a thousandth, up to a quarter of an hour.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 1_000_000_000_000, 3).expect("the bounds are in order")
}

/// Says how far a long task is, every two seconds.
pub struct Teller {
    what: &'static str,
    begun: Instant,
    said: Instant,
}

impl Teller {
    /// The task begins now.
    pub fn new(what: &'static str) -> Teller {
        Teller { what, begun: Instant::now(), said: Instant::now() }
    }

    /// So much is done, of so much.
    pub fn say(&mut self, done: u64, of: u64, unit: &str) {
        if self.said.elapsed() >= Duration::from_secs(2) {
            self.said = Instant::now();
            let seconds = self.begun.elapsed().as_secs_f64();
            let left = seconds * (of as f64 / done.max(1) as f64 - 1.0);
            let rate = done as f64 / seconds;
            eprintln!("{}: {done} of {of} {unit}, {rate:.0} {unit}/s, {left:.0} s left", self.what);
        }
    }
}
