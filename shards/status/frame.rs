//! What all pages but the status page have in common: head, ways to the others, the box to look something up, and a page
//! for a sentence. They carry no script, and the style of the status page.

use super::format::escape;
use super::page::STYLE;
use std::fmt::Write;

/// The pages: name and path.
const PAGES: [(&str, &str); 7] = [
    ("status", "/admin/status"),
    ("connections", "/admin/connections"),
    ("block", "/admin/block"),
    ("ledger", "/admin/ledger"),
    ("pool", "/admin/pool"),
    ("connect", "/admin/connect"),
    ("shutdown", "/admin/shutdown"),
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

/// A page on which something can be changed by those who have a token, or that says why not.
fn act(network: &str, name: &str, text: &str, form: &str, token: Option<&str>) -> String {
    let mut out = open(name, network, name);
    let _ = match token {
        Some(token) => write!(
            out,
            "<section><p>{text}</p><form method=post action=/admin/{name}><input type=hidden name=token value={token}>{form}\
</form></section>"
        ),
        None => write!(
            out,
            "<section><p>Nothing can be changed from here: this node was started without a name and password for its pages. \
Start it with -u NAME:PASSWORD (better in the file than on the command line); or say {name} at the prompt of a node with -m \
and --monitor-write.</p></section>"
        ),
    };
    close(out, name)
}

/// The form for a connection.
pub fn connect(network: &str, token: Option<&str>) -> String {
    let form = "<input name=to maxlength=80 placeholder=\"IP or IP:PORT\" aria-label=address required><button>connect</button>";
    let text = "A connection to one more peer, once: it is not made again when it ends. For one that lasts: --connect.";
    act(network, "connect", text, form, token)
}

/// The form for an end.
pub fn shutdown(network: &str, token: Option<&str>) -> String {
    act(network, "shutdown", "An orderly end of the node: nothing is lost.", "<button>shut down</button>", token)
}

/// Asks whether that is really meant; `to` is an address, or nothing.
pub fn confirm(network: &str, action: &str, question: &str, to: &str, token: &str) -> String {
    let mut out = open("sure?", network, "");
    let _ = write!(
        out,
        "<section><p>{}</p><form method=post action={action}><input type=hidden name=token value={token}><input type=hidden \
name=to value=\"{}\"><button name=sure value=yes>yes</button><a href=/admin/status>no</a></form></section>",
        escape(question, 200),
        escape(to, 80),
    );
    close(out, "")
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
