//! What a script of the console may take, here and inside a node. Whoever may open the socket may stop the node anyway:
//! these are against slips, and every one of them ends in a sentence.

/// Bounds of a script.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Seconds; none is until it is interrupted.
    pub seconds: Option<u64>,
    /// Steps of the language.
    pub operations: u64,
    /// Bytes by which the process may grow meanwhile. What else runs in it counts too, so it is far above what that does in
    /// as many seconds; what one step may allocate at once is bounded by the next two.
    pub memory: u64,
    /// Bytes of a string.
    pub string: usize,
    /// Entries of an array, or of a map, with all that lie in them.
    pub array: usize,
    /// Bytes printed.
    pub printed: usize,
}

/// Inside a node.
pub const LIVE: Limits = Limits {
    seconds: Some(5),
    operations: 50_000_000,
    memory: 512 << 20,
    string: 1 << 20,
    array: 50_000,
    printed: 1 << 20,
};
/// In a process of its own, over files: more of everything, and the time of who waits.
pub const OFFLINE: Limits = Limits {
    seconds: None,
    operations: u64::MAX,
    memory: 4 << 30,
    string: 64 << 20,
    array: 1_000_000,
    printed: usize::MAX,
};

/// Calls within each other.
pub const CALLS: usize = 32;
/// Expressions within each other, outside of functions and in them.
pub const NESTED: usize = 64;
/// Variables at a time, of one call.
pub const VARIABLES: usize = 64;
/// Functions that may be defined.
pub const FUNCTIONS: usize = 128;
/// Bytes of code that may wait for its end.
pub const CODE: usize = 64 << 10;
/// Stack of the thread: entries of an array may lie in each other as deep as there are entries, and each takes a call to
/// be copied, shown and let go. Only what is used takes memory.
pub const STACK: usize = 512 << 20;
