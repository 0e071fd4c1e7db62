//! Tensors whose rows GGUF stores in another order.

/// How GGUF reorders the rows of a matrix, or the values of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Unchanged.
    Kept,
    /// The two values of a RoPE pair become neighbours; in transformers they are half a head apart.
    Pairs,
    /// All queries, then all keys, then all values; in the file, each group of queries is followed
    /// by its key and value.
    Groups,
    /// Rows are outputs; in the file they are inputs. Vectors do not change.
    Transposed,
    /// A stack of experts, each of which is a matrix of inputs by outputs, or packed blocks of
    /// outputs by inputs. Gate and up projection are one tensor: their outputs take turns, or the
    /// gate's come first.
    Experts {
        /// Whether they take turns.
        interleaved: bool,
    },
    /// Adds one: the file stores a norm's weight minus 1.
    PlusOne,
    /// Without the first rows, which GGUF leaves out.
    Behind(usize),
}

/// The sizes that orders depend on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Heads {
    pub heads: usize,
    /// Key heads, and as many value heads.
    pub kv_heads: usize,
    pub head_dim: usize,
}

impl Order {
    /// Number of rows that the order needs; `None` for any.
    pub(super) fn expected(self, heads: Heads, rows: usize) -> Option<usize> {
        let Heads { heads, kv_heads, head_dim } = heads;
        match self {
            Self::Kept | Self::Transposed | Self::PlusOne | Self::Behind(_) | Self::Experts { .. } => None,
            Self::Pairs => Some(rows.next_multiple_of(head_dim)),
            Self::Groups => Some((heads + 2 * kv_heads) * head_dim),
        }
    }

    /// New index of row `row`. The number of rows must be that of [`Order::expected`].
    pub(super) fn row(self, heads: Heads, row: usize) -> usize {
        let Heads { heads, kv_heads, head_dim } = heads;
        let (head, i) = (row / head_dim.max(1), row % head_dim.max(1));
        match self {
            Self::Behind(skipped) => row.saturating_sub(skipped),
            Self::Kept | Self::Transposed | Self::PlusOne | Self::Experts { .. } => row,
            Self::Pairs => {
                let half = head_dim / 2;
                head * head_dim + if i < half { 2 * i } else { 2 * (i - half) + 1 }
            }
            Self::Groups => {
                let queries = heads / kv_heads;
                let (group, of_group) = (head / (queries + 2), head % (queries + 2));
                let place = match of_group.checked_sub(queries) {
                    None => group * queries + of_group,
                    Some(0) => heads + group,
                    Some(_) => heads + kv_heads + group,
                };
                place * head_dim + i
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_is_a_permutation() {
        for heads in [
            Heads { heads: 4, kv_heads: 2, head_dim: 6 },
            Heads { heads: 3, kv_heads: 3, head_dim: 4 },
            Heads { heads: 5, kv_heads: 1, head_dim: 2 },
        ] {
            for order in [Order::Kept, Order::Pairs, Order::Groups, Order::Transposed, Order::PlusOne] {
                let rows = order.expected(heads, 24).unwrap_or(24);
                let mut places: Vec<usize> = (0..rows).map(|row| order.row(heads, row)).collect();
                places.sort_unstable();
                assert!(places.into_iter().eq(0..rows), "{order:?} {heads:?}");
            }
        }
    }

    #[test]
    fn pairs_and_groups_have_ggufs_order() {
        let heads = Heads { heads: 2, kv_heads: 1, head_dim: 4 };
        let pairs: Vec<usize> = (0..4).map(|row| Order::Pairs.row(heads, row)).collect();
        assert_eq!(pairs, [0, 2, 1, 3]);
        let heads = Heads { heads: 4, kv_heads: 2, head_dim: 1 };
        // q0 q1 k0 v0 q2 q3 k1 v1 → q0 q1 q2 q3 k0 k1 v0 v1
        let groups: Vec<usize> = (0..8).map(|row| Order::Groups.row(heads, row)).collect();
        assert_eq!(groups, [0, 1, 4, 6, 2, 3, 5, 7]);
    }
}
