//! What those who look in may ask of the node: one question as text, one answer as text.
//!
//! Never knows who asks (a browser, a terminal) nor who answers.

use shards::effect::Order;
use std::future::Future;

/// Answers questions about the node. A clone goes to each guest.
pub trait Ask: Clone + 'static {
    /// Answers `text`: a line of the monitor, or `page` (HTML) or `json` for the status page. Every text has an answer, if
    /// only one that says what could have been asked. The future may be dropped before it is done.
    fn ask(&self, text: String) -> impl Future<Output = String>;

    /// Passes on what somebody wants whose name and password are good; the answer in words.
    fn order(&self, order: Order) -> impl Future<Output = String>;
}
