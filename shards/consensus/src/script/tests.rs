//! Scripts by hand.
