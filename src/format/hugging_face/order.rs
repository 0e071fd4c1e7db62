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
    /// A row for each value head of linear attention: those that share a key head are far apart
    /// (i mod [`DeltaHeads::keys`]), and neighbours in the file.
    ValueHeads,
    /// The same for the rows of value heads.
    ValueRows,
    /// The same behind the rows of queries and keys.
    ValuesBehindKeys,
    /// The same for columns.
    ValueColumns,
    /// All queries, then all keys, all values and all gates of linear attention; in the file, those
    /// of a key head are together. The gates are a tensor of their own.
    KeyHeads,
    /// The factor of a head's decay: minus the exponential of what the file stores.
    Decay {
        /// Whether they are in the order of [`Order::ValueHeads`] too.
        tiled: bool,
    },
    /// One divided by it.
    Reciprocal,
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
    pub delta: DeltaHeads,
}

/// The heads of linear attention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DeltaHeads {
    /// Heads of queries, and as many of keys.
    pub keys: usize,
    /// Heads of values, a multiple of `keys`.
    pub values: usize,
    /// Width of a query and of a key.
    pub key_dim: usize,
    pub value_dim: usize,
}

impl DeltaHeads {
    /// Rows of queries, keys and values.
    pub(super) fn qkv(self) -> usize {
        self.before_values() + self.values * self.value_dim
    }

    fn before_values(self) -> usize {
        2 * self.keys * self.key_dim
    }

    /// New place of value `i`, of heads of width `dim`.
    fn tiled(self, i: usize, dim: usize) -> usize {
        let each = self.values / self.keys;
        let (head, i) = (i / dim, i % dim);
        (head % each * self.keys + head / each) * dim + i
    }

    /// The new row of one of a key head's queries, keys, values and gates.
    fn of_key_heads(self, row: usize) -> usize {
        let values = self.values / self.keys * self.value_dim;
        let widths = [self.key_dim, self.key_dim, values, values];
        let each: usize = widths.iter().sum();
        let (head, mut i) = (row / each, row % each);
        let mut start = 0;
        for width in widths {
            if i < width {
                return start + head * width + i;
            }
            i -= width;
            start += self.keys * width;
        }
        row
    }
}

impl Order {
    /// Number of rows that the order needs; `None` for any.
    pub(super) fn expected(self, heads: Heads, rows: usize) -> Option<usize> {
        let Heads { heads, kv_heads, head_dim, delta } = heads;
        match self {
            Self::Kept | Self::Transposed | Self::PlusOne | Self::Behind(_) | Self::Experts { .. } => None,
            Self::Decay { tiled: false } | Self::Reciprocal => None,
            Self::ValueHeads | Self::Decay { .. } => Some(delta.values),
            Self::ValueRows | Self::ValueColumns => Some(delta.values * delta.value_dim),
            Self::ValuesBehindKeys => Some(delta.qkv()),
            Self::KeyHeads => Some(delta.qkv() + delta.values * delta.value_dim),
            Self::Pairs => Some(rows.next_multiple_of(head_dim)),
            Self::Groups => Some((heads + 2 * kv_heads) * head_dim),
        }
    }

    /// New index of row `row`. The number of rows must be that of [`Order::expected`].
    pub(super) fn row(self, heads: Heads, row: usize) -> usize {
        let Heads { heads, kv_heads, head_dim, delta } = heads;
        let (head, i) = (row / head_dim.max(1), row % head_dim.max(1));
        match self {
            Self::Behind(skipped) => row.saturating_sub(skipped),
            Self::Kept | Self::Transposed | Self::PlusOne | Self::Experts { .. } => row,
            Self::ValueColumns | Self::Decay { tiled: false } | Self::Reciprocal => row,
            Self::ValueHeads | Self::Decay { tiled: true } => delta.tiled(row, 1),
            Self::ValueRows => delta.tiled(row, delta.value_dim),
            Self::ValuesBehindKeys => match row.checked_sub(delta.before_values()) {
                Some(value) => delta.before_values() + delta.tiled(value, delta.value_dim),
                None => row,
            },
            Self::KeyHeads => delta.of_key_heads(row),
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

    /// Whether it depends on the heads of linear attention.
    pub(super) fn is_of_linear_attention(self) -> bool {
        matches!(
            self,
            Self::ValueHeads | Self::ValueRows | Self::ValuesBehindKeys | Self::ValueColumns | Self::KeyHeads
        )
    }

    /// New index of a column.
    pub(super) fn column(self, heads: Heads, column: usize) -> usize {
        match self {
            Self::ValueColumns => heads.delta.tiled(column, heads.delta.value_dim),
            _ => column,
        }
    }

    /// What GGUF stores for a value of a vector.
    pub(super) fn value(self, value: f32) -> f32 {
        match self {
            Self::PlusOne => value + 1.0,
            Self::Decay { .. } => -value.exp(),
            Self::Reciprocal => 1.0 / value,
            _ => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_is_a_permutation() {
        let delta = |keys, values| DeltaHeads { keys, values, key_dim: 4, value_dim: 3 };
        for heads in [
            Heads { heads: 4, kv_heads: 2, head_dim: 6, delta: delta(2, 6) },
            Heads { heads: 3, kv_heads: 3, head_dim: 4, delta: delta(3, 3) },
            Heads { heads: 5, kv_heads: 1, head_dim: 2, delta: delta(1, 5) },
        ] {
            for order in [
                Order::Kept,
                Order::Pairs,
                Order::Groups,
                Order::Transposed,
                Order::PlusOne,
                Order::ValueHeads,
                Order::ValueRows,
                Order::ValuesBehindKeys,
                Order::KeyHeads,
                Order::Decay { tiled: true },
            ] {
                let rows = order.expected(heads, 24).unwrap_or(24);
                let mut places: Vec<usize> = (0..rows).map(|row| order.row(heads, row)).collect();
                places.sort_unstable();
                assert!(places.into_iter().eq(0..rows), "{order:?} {heads:?}");
            }
        }
    }

    #[test]
    fn pairs_and_groups_have_ggufs_order() {
        let heads = Heads { heads: 2, kv_heads: 1, head_dim: 4, ..Heads::default() };
        let pairs: Vec<usize> = (0..4).map(|row| Order::Pairs.row(heads, row)).collect();
        assert_eq!(pairs, [0, 2, 1, 3]);
        let heads = Heads { heads: 4, kv_heads: 2, head_dim: 1, ..Heads::default() };
        // q0 q1 k0 v0 q2 q3 k1 v1 → q0 q1 q2 q3 k0 k1 v0 v1
        let groups: Vec<usize> = (0..8).map(|row| Order::Groups.row(heads, row)).collect();
        assert_eq!(groups, [0, 1, 4, 6, 2, 3, 5, 7]);
    }

    #[test]
    fn value_heads_of_a_key_head_move_apart() {
        let delta = DeltaHeads { keys: 2, values: 4, key_dim: 1, value_dim: 2 };
        let heads = Heads { delta, ..Heads::default() };
        let rows = |order: Order, count| (0..count).map(|row| order.row(heads, row)).collect::<Vec<_>>();
        assert_eq!(rows(Order::ValueHeads, 4), [0, 2, 1, 3]);
        assert_eq!(rows(Order::ValueRows, 8), [0, 1, 4, 5, 2, 3, 6, 7]);
        assert_eq!(rows(Order::ValuesBehindKeys, 12), [0, 1, 2, 3, 4, 5, 8, 9, 6, 7, 10, 11]);
        let columns: Vec<usize> = (0..8).map(|column| Order::ValueColumns.column(heads, column)).collect();
        assert_eq!(columns, [0, 1, 4, 5, 2, 3, 6, 7]);
        // q0 k0 v0 v0 v0 v0 z0 z0 z0 z0 q1 k1 …
        assert_eq!(rows(Order::KeyHeads, 12), [0, 2, 4, 5, 6, 7, 12, 13, 14, 15, 1, 3]);
        assert_eq!(Order::Decay { tiled: false }.value(0.0), -1.0);
    }
}
