//! A conversation in the console's language: what was defined stays, `_` is the last value, and no line takes more than its
//! limits. Knows no socket and no terminal.

use super::language::{self, Print, Question, Reach};
use super::limits::{CALLS, CODE, FUNCTIONS, Limits, NESTED, VARIABLES};
use super::objects::Shelf;
use super::show;
use super::tokens::{self, LAST};
use consensus::Network;
use rhai::{AST, Dynamic, Engine, EvalAltResult, LexError, ParseErrorType, Scope};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often, at most, the clock is asked how large the process is.
const WEIGHED: Duration = Duration::from_millis(2);
/// Steps between two looks at the clock.
const STEPS: u64 = 256;

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// It is answered.
    Done,
    /// It failed, and why was printed.
    Failed,
    /// Something is open: more lines must come.
    More,
}

/// What a line has taken so far, and may.
struct Meter {
    limits: Limits,
    /// Set from outside: nobody waits for it any more.
    stop: Arc<AtomicBool>,
    started: Mutex<(Instant, Instant, u64)>,
    printed: AtomicU64,
}

impl Meter {
    fn start(&self) {
        let now = Instant::now();
        *self.started.lock().unwrap_or_else(PoisonError::into_inner) = (now, now, resident());
        self.printed.store(0, Relaxed);
    }

    /// Why it must end, if it must.
    fn look(&self, steps: u64) -> Option<String> {
        if self.stop.load(Relaxed) {
            return Some("interrupted".into());
        }
        if self.printed.load(Relaxed) > self.limits.printed as u64 {
            return Some(format!("it printed more than {} bytes", self.limits.printed));
        }
        if !steps.is_multiple_of(STEPS) {
            return None;
        }
        let now = Instant::now();
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        let (start, weighed, before) = &mut *started;
        if let Some(seconds) = self.limits.seconds
            && now.duration_since(*start) >= Duration::from_secs(seconds)
        {
            return Some(format!("it took longer than {seconds} s"));
        }
        if now.duration_since(*weighed) >= WEIGHED {
            *weighed = now;
            if resident().saturating_sub(*before) > self.limits.memory {
                return Some(format!("memory grew by more than {} MB meanwhile", self.limits.memory >> 20));
            }
        }
        None
    }
}

/// Bytes of memory that this process holds (proc(5), `statm`); 0 where the kernel does not say.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

/// The conversation.
pub struct Session {
    engine: Engine,
    scope: Scope<'static>,
    functions: AST,
    /// Lines that are not complete.
    waiting: String,
    meter: Arc<Meter>,
    shelf: Arc<Shelf>,
    print: Print,
}

impl Session {
    /// One that reaches this folder and this node; `stop` ends what runs.
    pub fn new(
        shelf: Arc<Shelf>,
        network: Network,
        ask: Option<Question>,
        print: Print,
        limits: Limits,
        stop: Arc<AtomicBool>,
    ) -> Session {
        let now = Instant::now();
        let started = Mutex::new((now, now, 0));
        let meter = Arc::new(Meter { limits, stop, started, printed: AtomicU64::new(0) });
        let print: Print = {
            let meter = meter.clone();
            Arc::new(move |text: &str| {
                let before = meter.printed.fetch_add(text.len() as u64, Relaxed);
                let room = (meter.limits.printed as u64).saturating_sub(before) as usize;
                let cut = text.floor_char_boundary(room.min(text.len()));
                print(&text[..cut]);
            })
        };
        let mut engine = Engine::new();
        engine
            .set_max_operations(limits.operations)
            .set_max_call_levels(CALLS)
            .set_max_expr_depths(NESTED, NESTED)
            .set_max_variables(VARIABLES)
            .set_max_functions(FUNCTIONS)
            .set_max_string_size(limits.string)
            .set_max_array_size(limits.array)
            .set_max_map_size(limits.array)
            // What is evaluated there is as bounded, but its errors point nowhere.
            .disable_symbol("eval");
        let looked = meter.clone();
        engine.on_progress(move |steps| looked.look(steps).map(Dynamic::from));
        for debug in [false, true] {
            let print = print.clone();
            match debug {
                false => engine.on_print(move |text| print(&format!("{text}\n"))),
                true => engine.on_debug(move |text, _, _| print(&format!("{text}\n"))),
            };
        }
        let reach = Reach { shelf: shelf.clone(), network, ask, print: print.clone() };
        language::register(&mut engine, &reach);
        let functions = AST::empty();
        Session { engine, scope: Scope::new(), functions, waiting: String::new(), meter, shelf, print }
    }

    /// Forgets lines that are not complete; whether there were any.
    pub fn forget(&mut self) -> bool {
        !std::mem::take(&mut self.waiting).is_empty()
    }

    /// Takes a line. An empty one ends what is not complete.
    pub fn line(&mut self, line: &str) -> Came {
        let last = line.trim().is_empty();
        if last && self.waiting.is_empty() {
            return Came::Done;
        }
        self.waiting.push_str(line);
        self.waiting.push('\n');
        if self.waiting.len() > CODE {
            self.waiting.clear();
            return self.failed(&format!("more than {CODE} bytes of code"));
        }
        let source = tokens::read(&self.waiting);
        if source.open && !last {
            return Came::More;
        }
        let ast = match self.engine.compile(&source.code) {
            Err(why) if !last && at_the_end(why.err_type()) => return Came::More,
            compiled => compiled,
        };
        self.waiting.clear();
        match ast {
            Ok(ast) => self.run(&ast),
            Err(why) => self.failed(&why.to_string()),
        }
    }

    fn failed(&self, why: &str) -> Came {
        // There is room for this.
        self.meter.printed.store(0, Relaxed);
        (self.print)(&format!("error: {why}\n"));
        Came::Failed
    }

    fn run(&mut self, ast: &AST) -> Came {
        if let Err(why) = self.shelf.stored().follow() {
            tracing::debug!("{why}");
        }
        let all = self.functions.merge(ast);
        if all.iter_functions().count() > FUNCTIONS {
            return self.failed(&format!("more than {FUNCTIONS} functions"));
        }
        self.meter.start();
        let came = self.engine.eval_ast_with_scope::<Dynamic>(&mut self.scope, &all);
        // What is hidden by a later one of its name can never be asked for again.
        self.scope = self.scope.clone_visible();
        self.functions = all.clone_functions_only();
        match came {
            Ok(value) if value.is_unit() => Came::Done,
            Ok(value) => {
                let text = show::answer(&value);
                (self.print)(&format!("{}\n", text.trim_end_matches('\n')));
                self.scope.set_value(LAST, value);
                match self.meter.look(1) {
                    Some(why) => self.failed(&format!("stopped: {why}")),
                    None => Came::Done,
                }
            }
            Err(why) => self.failed(&sentence(&why, &self.meter.limits)),
        }
    }
}

/// Whether more lines may mend it.
fn at_the_end(why: &ParseErrorType) -> bool {
    matches!(why, ParseErrorType::UnexpectedEOF)
        || matches!(why, ParseErrorType::BadInput(LexError::UnexpectedInput(text)) if text.is_empty())
}

/// An error as it is told.
fn sentence(why: &EvalAltResult, limits: &Limits) -> String {
    match why {
        EvalAltResult::ErrorTerminated(why, _) => format!("stopped: {why}"),
        EvalAltResult::ErrorTooManyOperations(_) => {
            format!("stopped: it took more than {} steps", limits.operations)
        }
        EvalAltResult::ErrorStackOverflow(_) => format!("stopped: calls lie more than {CALLS} deep in each other"),
        EvalAltResult::ErrorTooManyVariables(_) => format!("stopped: more than {VARIABLES} variables at a time"),
        EvalAltResult::ErrorDataTooLarge(what, _) => {
            format!("stopped: {what} is too large: {} bytes or {} entries are allowed", limits.string, limits.array)
        }
        // Where it happened is of use, where it was called from is not.
        EvalAltResult::ErrorInFunctionCall(name, _, inside, _) => format!("{} (in {name})", sentence(inside, limits)),
        EvalAltResult::ErrorRuntime(why, _) if why.is_string() => why.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
