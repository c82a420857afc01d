//! Decides merkle roots, and whether a list of leaves repeats itself in the way that leaves the
//! root unchanged (CVE-2012-2459). Never knows what the leaves are.

/// The merkle root of `leaves` (zero for none), and whether two nodes that are hashed together are
/// equal. An odd node is paired with itself, so [.., 5, 6] and [.., 5, 6, 5, 6] may share a root;
/// the second list is the mutated one. Core `ComputeMerkleRoot`.
pub fn root(leaves: &[[u8; 32]]) -> ([u8; 32], bool) {
    let mut level = Vec::with_capacity(leaves.len() + 1);
    level.extend_from_slice(leaves);
    let (mut above, mut mutated) = (Vec::new(), false);
    while level.len() > 1 {
        // Before the odd node is doubled: that pair of equals is the rule, not a mutation.
        mutated |= level.as_chunks::<2>().0.iter().any(|[left, right]| left == right);
        if let (false, Some(&last)) = (level.len().is_multiple_of(2), level.last()) {
            level.push(last);
        }
        above.resize(level.len() / 2, [0; 32]);
        hashes::pairs(level.as_flattened().as_chunks().0, &mut above);
        std::mem::swap(&mut level, &mut above);
    }
    (level.first().copied().unwrap_or_default(), mutated)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::sha256d;

    fn node(left: [u8; 32], right: [u8; 32]) -> [u8; 32] {
        sha256d(&[left, right].concat())
    }

    #[test]
    fn small_trees_by_hand() {
        let [a, b, c] = [[1; 32], [2; 32], [3; 32]];
        assert_eq!(root(&[]), ([0; 32], false));
        assert_eq!(root(&[a]), (a, false));
        assert_eq!(root(&[a, b]), (node(a, b), false));
        assert_eq!(root(&[a, b, c]), (node(node(a, b), node(c, c)), false));
    }

    /// The example in Core's merkle.cpp: 1..6 and 1..6 with 5, 6 repeated.
    #[test]
    fn a_repeated_tail_keeps_the_root_and_is_seen() {
        let six: Vec<_> = (1..=6).map(|i| [i; 32]).collect();
        let eight = [&six[..], &six[4..]].concat();
        assert_eq!(root(&six).0, root(&eight).0);
        assert_eq!((root(&six).1, root(&eight).1), (false, true));
        assert!(root(&[[1; 32], [1; 32]]).1);
        assert!(!root(&[[1; 32], [2; 32], [2; 32], [3; 32]]).1, "equals that are not paired");
    }
}
