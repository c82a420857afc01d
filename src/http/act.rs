//! What can be changed from the pages: a connection made, the node stopped. Only for those who have a name (`-u`), with the token
//! that only our own forms know, and confirmed. Decides what was ordered; others carry it out.

use super::route;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Request, header};
use shards::effect::Order;
use shards::status::{frame, text};

/// Bytes a form may have.
const FORM_MAX: usize = 4 << 10;

/// What can be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// A connection to an address.
    Connect,
    /// An end.
    Shutdown,
}

/// What came of a form.
#[derive(PartialEq, Eq, Debug)]
pub enum Form {
    /// It is none of ours, in words.
    Bad(&'static str),
    /// It has not our token.
    Foreign,
    /// To be confirmed: this question, and what goes with it.
    Confirm(String, String),
    /// Confirmed.
    Ordered(Order),
}

impl Act {
    /// The form, for those who may.
    pub fn form(self, network: &str, token: Option<&str>) -> String {
        match self {
            Act::Connect => frame::connect(network, token),
            Act::Shutdown => frame::shutdown(network, token),
        }
    }

    /// Where it is.
    pub fn address(self) -> &'static str {
        match self {
            Act::Connect => "/admin/connect",
            Act::Shutdown => "/admin/shutdown",
        }
    }

    /// Reads a form that was sent. `user` is who sent it, `port` the one that peers of this network have.
    pub fn read(self, form: &str, token: &str, port: u16, user: &str) -> Form {
        let field = |name| route::value(form, name).unwrap_or_default();
        if !super::same(token.as_bytes(), field("token").as_bytes()) {
            return Form::Foreign;
        }
        let sure = field("sure") == "yes";
        match self {
            Act::Connect => match (text::address(field("to").trim(), port), sure) {
                (None, _) => Form::Bad("Say an address as IP or IP:PORT; host names are for --connect."),
                (Some(to), false) => Form::Confirm(format!("Connect to {to}?"), to.to_string()),
                (Some(to), true) => Form::Ordered(Order::Connect(to)),
            },
            Act::Shutdown if sure => Form::Ordered(Order::Shutdown(format!("{user} on the page"))),
            Act::Shutdown => Form::Confirm(
                "Stop this node? It ends in order; nobody starts it again from here.".into(),
                String::new(),
            ),
        }
    }
}

/// The text of a form, if a request carries one.
pub async fn form(request: Request<Incoming>) -> Result<String, &'static str> {
    let kind = request.headers().get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
    if !kind.is_some_and(|kind| kind.starts_with(b"application/x-www-form-urlencoded")) {
        return Err("That is no form.");
    }
    let body = Limited::new(request.into_body(), FORM_MAX).collect().await.map_err(|_| "That form is too long.")?;
    let bytes: Bytes = body.to_bytes();
    String::from_utf8(bytes.into()).map_err(|_| "That form is no text.")
}
