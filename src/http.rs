//! The status page's door: HTTP/1.1 on the status shard's executor. Decides who may ask, for which path, with which headers,
//! and how long a guest may take.
//!
//! Never knows what the page shows: it asks for `page`, `json`, `metrics`, and hands on the text; pages about blocks come from
//! `pages.rs`. Reads no request body.
//!
//! `/healthz` alone needs no name and password: whatever restarts a node that does not answer shall know no secret.

mod act;
mod live;
mod route;

use crate::ask::Ask;
use crate::door::Door;
use crate::pages::{Found, Pages};
use act::{Act, Form};
use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use consensus::Network;
use futures_lite::future::or;
use futures_lite::io::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;
use glommio::sync::Semaphore;
use glommio::timer::Timer;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::rt::{self, ReadBufCursor};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use live::{Live, Watch};
use route::Route;
pub use route::Wanted;
use shards::status::frame;
use shards::status::scrape::READY;
use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// Connections at once; further ones wait in the kernel's queue. With [`HEAD_MAX`] in and out, 4 MiB at most besides answers.
const GUESTS_MAX: u64 = 128;
/// Bytes a request's line and headers may have; more is answered with 431.
const HEAD_MAX: usize = 16 << 10;
/// A connection lives this long after its last whole request (or its start), so this bounds slow senders, slow readers and
/// idle guests alike. Who watches has it after each event taken.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long wrong credentials wait for their answer, so that guessing is slow.
const AFTER_WRONG_PASSWORD: Duration = Duration::from_millis(250);
/// Lets the core's other work and its sockets have a turn before each answer, however many requests a guest has piled up:
/// glommio looks at sockets and timers only when no task is runnable.
const BREATH: Duration = Duration::from_micros(10);

/// What every answer carries. The page's own style and script are inline and it loads nothing but itself again.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// The same on pages that carry no script; they have a form.
const STATIC: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";
const EVENTS: &str = "text/event-stream; charset=utf-8";
/// Prometheus' text format.
const FIGURES: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers on `listener`, for ever. Where `users` (name, password) has any, only they are answered (RFC 7617). To be run
/// as a task of its own on the executor of whoever answers `ask`.
pub async fn serve(listener: TcpListener, users: Vec<(String, String)>, ask: impl Ask, house: House) {
    run(listener, users, ask, house, PATIENCE).await;
}

async fn run(listener: TcpListener, users: Vec<(String, String)>, ask: impl Ask, house: House, patience: Duration) {
    let mut door = match Door::new(listener) {
        Ok(door) => door,
        Err(error) => return tracing::error!("the status page cannot be served: {error}"),
    };
    let keys = users.into_iter().map(|(name, pass)| format!("{name}:{pass}").into_bytes()).collect();
    let site = Rc::new(Site { ask, keys, house, patience, live: Rc::default() });
    let room = Rc::new(Semaphore::new(GUESTS_MAX));
    loop {
        let place = room.acquire_static_permit(1).await.expect("nobody closes the semaphore");
        let stream = door.next().await;
        let site = site.clone();
        glommio::spawn_local(async move {
            site.receive(stream).await;
            drop(place);
        })
        .detach();
    }
}

/// What answers need besides the status shard's words.
pub struct House {
    /// Its name is on every page.
    pub network: Network,
    /// The node's, whose disk is looked at.
    pub folder: PathBuf,
    /// Where pages about blocks come from.
    pub pages: Pages,
    /// What our own forms carry, and nobody else can know.
    pub token: String,
}

impl House {
    fn sentence(&self, status: StatusCode, title: &str, text: &str) -> Response<Full<Bytes>> {
        html(status, frame::sentence(title, self.network.name(), text))
    }

    async fn found(&self, found: Found, ask: &impl Ask) -> Response<Full<Bytes>> {
        match found {
            Found::Page(draft) => {
                let answer = match draft.question() {
                    Some(question) => ask.ask(question).await,
                    None => String::new(),
                };
                html(StatusCode::OK, draft.page(&answer))
            }
            Found::Goto(address) => goto(address),
            Found::Nothing(why) => self.sentence(StatusCode::NOT_FOUND, "not here", &why),
            Found::Failed(why) => self.sentence(StatusCode::INTERNAL_SERVER_ERROR, "it could not be read", &why),
            Found::Busy => {
                let why = "Many others are looking things up. Ask again in a moment.";
                let mut answer = self.sentence(StatusCode::SERVICE_UNAVAILABLE, "busy", why);
                set(&mut answer, header::RETRY_AFTER, "1");
                answer
            }
        }
    }
}

struct Site<A> {
    ask: A,
    /// `name:password` of each user; none: everybody may look.
    keys: Vec<Vec<u8>>,
    house: House,
    patience: Duration,
    live: Rc<Live>,
}

/// Text, or events without end.
type Answer = Response<Either<Full<Bytes>, Watch>>;

impl<A: Ask> Site<A> {
    /// Speaks with one guest until either side has had enough.
    async fn receive(&self, stream: TcpStream) {
        // An answer goes out in two sends, head and text; the second must not wait for the first one's acknowledgement.
        let _ = stream.set_nodelay(true);
        let deadline = Rc::new(Cell::new(Instant::now() + self.patience));
        let service = service_fn(|request: Request<Incoming>| {
            deadline.set(Instant::now() + self.patience);
            let deadline = deadline.clone();
            async { Ok::<_, Infallible>(self.receive_one(request, deadline).await) }
        });
        let mut builder = http1::Builder::new();
        // hyper's own timers would have to be Send; the deadline covers what they do.
        builder.header_read_timeout(None).max_buf_size(HEAD_MAX);
        let talk = async {
            if let Err(error) = builder.serve_connection(Io(stream), service).await {
                tracing::debug!("a guest of the status page: {error}");
            }
        };
        or(talk, until(&deadline)).await;
    }

    async fn receive_one(&self, request: Request<Incoming>, deadline: Rc<Cell<Instant>>) -> Answer {
        glommio::timer::sleep(BREATH).await;
        if request.uri().path() == "/healthz" && is_look(&request) {
            return text(StatusCode::OK, "alive\n").map(Either::Left);
        }
        let given = request.headers().get(header::AUTHORIZATION);
        let user = match given.map(|value| self.admits(value.as_bytes())) {
            _ if self.keys.is_empty() => None,
            Some(Some(user)) => Some(user),
            wrong => {
                if wrong.is_some() {
                    glommio::timer::sleep(AFTER_WRONG_PASSWORD).await;
                }
                let mut answer = text(StatusCode::UNAUTHORIZED, "name and password, please\n");
                set(&mut answer, header::WWW_AUTHENTICATE, "Basic realm=\"caesure\", charset=\"UTF-8\"");
                return answer.map(Either::Left);
            }
        };
        let route = route::route(request.uri().path(), request.uri().query());
        match route {
            Route::Form(act) if request.method() == Method::POST => {
                self.act(act, request, user).await.map(Either::Left)
            }
            _ if !is_look(&request) => {
                let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "this can only be looked at\n");
                set(&mut answer, header::ALLOW, "GET, HEAD");
                answer.map(Either::Left)
            }
            Route::Live => match self.live.watch(&self.ask, deadline, self.patience) {
                Some(watch) => response(StatusCode::OK, EVENTS, watch).map(Either::Right),
                None => {
                    text(StatusCode::SERVICE_UNAVAILABLE, "too many watch; ask for status.parts\n").map(Either::Left)
                }
            },
            route => self.look(route, user).await.map(Either::Left),
        }
    }

    /// Has something changed, by somebody who may.
    async fn act(&self, act: Act, request: Request<Incoming>, user: Option<String>) -> Response<Full<Bytes>> {
        let (house, network) = (&self.house, self.house.network.name());
        let Some(user) = user else { return html(StatusCode::FORBIDDEN, act.form(network, None)) };
        let form = act::form(request).await;
        let port = consensus::Params::of(house.network).port;
        match form.map_or_else(Form::Bad, |form| act.read(&form, &house.token, port, &user)) {
            Form::Bad(why) => house.sentence(StatusCode::BAD_REQUEST, "not understood", why),
            Form::Foreign => {
                tracing::warn!("a form for {} came without the page's token, in the name of {user}", act.address());
                glommio::timer::sleep(AFTER_WRONG_PASSWORD).await;
                let why = "That form is not of this page, or of an earlier run of the node. Load the page again.";
                house.sentence(StatusCode::FORBIDDEN, "not from here", why)
            }
            Form::Confirm(question, to) => {
                html(StatusCode::OK, frame::confirm(network, act.address(), &question, &to, &house.token))
            }
            Form::Ordered(order) => {
                tracing::info!("{user} on the page: {order:?}");
                let told = self.ask.order(order).await;
                html(StatusCode::OK, frame::lines("done", network, &told))
            }
        }
    }

    async fn look(&self, route: Route, user: Option<String>) -> Response<Full<Bytes>> {
        let house = &self.house;
        let (question, kind) = match route {
            Route::Page("page") => ("page".to_owned(), HTML),
            Route::Page(name) => return html(StatusCode::OK, self.ask.ask(name.to_owned()).await),
            Route::Json => ("json".to_owned(), "application/json"),
            Route::Parts => ("parts".to_owned(), "application/json"),
            Route::Form(act) => {
                let token = user.map(|_| house.token.as_str());
                return html(StatusCode::OK, act.form(house.network.name(), token));
            }
            // With what only the edge can tell: the kernel has it in memory.
            Route::Metrics => {
                let free = tuning::free_bytes(&house.folder);
                (free.map_or("metrics".to_owned(), |free| format!("metrics {free}")), FIGURES)
            }
            Route::Cores => ("metrics/cores".to_owned(), FIGURES),
            Route::Ready => return self.readiness().await,
            Route::Read(wanted) => return house.found(house.pages.get(wanted).await, &self.ask).await,
            Route::Coin(outpoint) => {
                let name = format!("coin {}:{}", outpoint.txid, outpoint.vout);
                let told = self.ask.ask(name.clone()).await;
                return html(StatusCode::OK, frame::lines(&name, house.network.name(), &told));
            }
            Route::Goto(address) => return goto(address),
            Route::Puzzled => {
                let what =
                    "A height, the hash of a block, the txid of a transaction, or TXID:N, a coin, can be looked up.";
                return house.sentence(StatusCode::BAD_REQUEST, "what is that?", what);
            }
            Route::Unknown | Route::Live => return text(StatusCode::NOT_FOUND, "the page is /admin/status\n"),
        };
        words(StatusCode::OK, kind, self.ask.ask(question).await)
    }

    async fn readiness(&self) -> Response<Full<Bytes>> {
        let answer = self.ask.ask("ready".to_owned()).await;
        let status = if answer == READY { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        words(status, PLAIN, answer + "\n")
    }

    /// The name of the user whose credentials these are. Takes as long for a near miss as for a far one.
    fn admits(&self, authorization: &[u8]) -> Option<String> {
        let (scheme, credentials) = authorization.split_at_checked(6)?;
        if !scheme.eq_ignore_ascii_case(b"basic ") {
            return None;
        }
        let given = BASE64_STANDARD.decode(credentials.trim_ascii()).ok()?;
        let known = self.keys.iter().fold(false, |found, key| found | same(key, &given));
        known
            .then(|| String::from_utf8_lossy(given.split(|byte| *byte == b':').next().unwrap_or_default()).into_owned())
    }
}

/// Whether nothing is to be changed.
fn is_look(request: &Request<Incoming>) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
}

/// Comes back when the deadline has passed, wherever it has been moved to meanwhile.
async fn until(deadline: &Cell<Instant>) {
    loop {
        let left = deadline.get().saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        Timer::new(left).await;
    }
}

fn text(status: StatusCode, sentence: &'static str) -> Response<Full<Bytes>> {
    words(status, PLAIN, sentence)
}

/// A page that carries no script.
fn html(status: StatusCode, page: String) -> Response<Full<Bytes>> {
    let mut answer = words(status, HTML, page);
    set(&mut answer, header::CONTENT_SECURITY_POLICY, STATIC);
    answer
}

/// Elsewhere; addresses are made here, of numbers and hex digits.
fn goto(address: String) -> Response<Full<Bytes>> {
    let mut answer = text(StatusCode::SEE_OTHER, "");
    let address = HeaderValue::try_from(address).expect("letters, digits, slashes and colons");
    answer.headers_mut().insert(header::LOCATION, address);
    set(&mut answer, header::CONTENT_SECURITY_POLICY, STATIC);
    answer
}

fn words(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    response(status, kind, Full::new(body.into()))
}

fn response<B>(status: StatusCode, kind: &'static str, body: B) -> Response<B> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    set(&mut response, header::CONTENT_TYPE, kind);
    for (name, value) in HEADERS {
        set(&mut response, name, value);
    }
    response
}

fn set<B>(response: &mut Response<B>, name: HeaderName, value: &'static str) {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
}

/// Equality that looks at all of `key`, whatever was given, so that its duration tells nothing about where they differ.
fn same(key: &[u8], given: &[u8]) -> bool {
    let fold = |differs, (index, byte): (usize, &u8)| differs | usize::from(byte ^ given.get(index).unwrap_or(&0));
    std::hint::black_box(key.iter().enumerate().fold(key.len() ^ given.len(), fold)) == 0
}

/// glommio's stream with hyper's traits.
struct Io(TcpStream);

impl rt::Read for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        // Through a buffer of our own, because filling hyper's directly takes unsafe code. Requests are small.
        let mut chunk = [0; 4096];
        let room = buf.remaining().min(chunk.len());
        let count = ready!(Pin::new(&mut self.0).poll_read(cx, &mut chunk[..room]))?;
        buf.put_slice(&chunk[..count]);
        Poll::Ready(Ok(()))
    }
}

impl rt::Write for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}

#[cfg(test)]
mod tests;
