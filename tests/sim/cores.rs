//! The links between executors: words in order, each link at its own pace.

use shards::{Msg, Rng, ShardId};
use std::collections::VecDeque;

/// A word under way, and to whom.
pub(super) struct Word(pub(super) ShardId, pub(super) Msg);

#[derive(Default)]
struct Link {
    words: VecDeque<Word>,
    /// Questions among them, which overtake the others.
    questions: usize,
    /// Brings nothing for now.
    held: bool,
}

/// All of them.
#[derive(Default)]
pub(super) struct Links {
    executors: usize,
    links: Vec<Link>,
    /// Those that bring something.
    busy: Vec<usize>,
}

impl Links {
    pub(super) fn new(executors: usize) -> Links {
        Links { executors, links: (0..executors * executors).map(|_| Link::default()).collect(), busy: Vec::new() }
    }

    /// Those that have a word to bring.
    pub(super) fn busy(&self) -> usize {
        self.busy.len()
    }

    /// Puts a word on the link from one executor to another; how many that holds now.
    pub(super) fn push(&mut self, (from, to): (usize, usize), word: Word) -> usize {
        let index = from * self.executors + to;
        let link = &mut self.links[index];
        link.questions += usize::from(word.1.is_question());
        link.words.push_back(word);
        if link.words.len() == 1 && !link.held {
            self.busy.push(index);
        }
        link.words.len()
    }

    /// The next word of the `nth` that has one.
    pub(super) fn pop(&mut self, nth: usize, rng: &mut Rng) -> Word {
        let link = &mut self.links[self.busy[nth]];
        let overtakes = link.questions > 0 && rng.below(2) == 0;
        let question = link.words.iter().position(|word| overtakes && word.1.is_question());
        let word = link.words.remove(question.unwrap_or(0)).expect("it is busy");
        link.questions -= usize::from(word.1.is_question());
        if link.words.is_empty() {
            self.busy.swap_remove(nth);
        }
        word
    }

    /// The link brings nothing until it is let go; its name, unless it is held already.
    pub(super) fn hold(&mut self, (from, to): (usize, usize)) -> Option<usize> {
        let index = from * self.executors + to;
        self.busy.retain(|busy| *busy != index);
        (!std::mem::replace(&mut self.links[index].held, true)).then_some(index)
    }

    /// It goes on.
    pub(super) fn let_go(&mut self, index: usize) {
        self.links[index].held = false;
        if !self.links[index].words.is_empty() {
            self.busy.push(index);
        }
    }

    /// The last two words of that link change places.
    pub(super) fn swap_last(&mut self, (from, to): (usize, usize)) {
        let words = &mut self.links[from * self.executors + to].words;
        if let Some(last) = words.len().checked_sub(1).filter(|last| *last > 0) {
            words.swap(last, last - 1);
        }
    }
}
