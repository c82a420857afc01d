//! What all pages but the status page have in common: head, ways to the others, the box to look something up, and a page
//! for a sentence. They carry no script, and the style of the status page.

use super::format::escape;
use super::page::STYLE;
use std::fmt::Write;

/// The pages: name and path.
const PAGES: [(&str, &str); 5] = [
    ("status", "/admin/status"),
    ("connections", "/admin/connections"),
    ("block", "/admin/block"),
    ("ledger", "/admin/ledger"),
    ("pool", "/admin/pool"),
];

/// The ways from one page to the others.
pub fn ways(here: &str) -> String {
    let way = |(name, path): (&str, &str)| match name == here {
        true => format!("<b>{name}</b>"),
        false => format!("<a href={path}>{name}</a>"),
    };
    format!("<nav>{}</nav>", PAGES.map(way).concat())
}

/// Begins a page; `title` is taken as it is, so escape it.
pub fn open(title: &str, network: &str, here: &str) -> String {
    let mut out = String::with_capacity(32 << 10);
    let _ = write!(
        out,
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
<title>{title} · caesure {network}</title><link rel=icon href=\"data:,\"><style>{STYLE}</style></head><body>\
<header><span><b>caesure<i>‖</i>{network}</b></span>{}</header>\
<form action=/admin/search><input name=q maxlength=120 placeholder=\"height, hash, TXID or TXID:N\" \
aria-label=\"look up\"><button>look up</button></form><h1 class=name>{title}</h1><main>",
        ways(here),
    );
    out
}

/// Ends it.
pub fn close(mut out: String, here: &str) -> String {
    let _ = writeln!(out, "</main><footer>{}</footer></body></html>", ways(here));
    out
}

/// A page that says one thing.
pub fn sentence(title: &str, network: &str, text: &str) -> String {
    let mut out = open(&escape(title, 80), network, "");
    let _ = write!(out, "<section><p>{}</p></section>", escape(text, 1_000));
    close(out, "")
}

/// A page that shows lines as they would be at the prompt.
pub fn lines(title: &str, network: &str, text: &str) -> String {
    let mut out = open(&escape(title, 80), network, "");
    let all: Vec<String> = text.lines().take(200).map(|line| escape(line, 1_000)).collect();
    let _ = write!(out, "<section><pre class=scroll>{}</pre></section>", all.join("\n"));
    close(out, "")
}
