//! What is bound to a statement: tuples, arrays, slices and lists, in the order of its parameters.

use super::{ToSql, Value};

/// Values for the parameters of a statement.
pub(crate) trait Params {
    /// Hands them over.
    fn bind<T>(&self, to: impl FnOnce(&[&dyn ToSql]) -> T) -> T;
}

impl Params for () {
    fn bind<T>(&self, to: impl FnOnce(&[&dyn ToSql]) -> T) -> T {
        to(&[])
    }
}

/// The empty array has no type of elements of its own.
impl Params for [&(dyn ToSql + Send + Sync); 0] {
    fn bind<T>(&self, to: impl FnOnce(&[&dyn ToSql]) -> T) -> T {
        to(&[])
    }
}

impl Params for &[&dyn ToSql] {
    fn bind<T>(&self, to: impl FnOnce(&[&dyn ToSql]) -> T) -> T {
        to(self)
    }
}

impl Params for Vec<Value> {
    fn bind<T>(&self, to: impl FnOnce(&[&dyn ToSql]) -> T) -> T {
        let values: Vec<&dyn ToSql> = self.iter().map(|value| value as &dyn ToSql).collect();
        to(&values)
    }
}

macro_rules! arrays {
    ($($length:literal)+) => {
        $(impl<V: ToSql> Params for [V; $length] {
            fn bind<T>(&self, to: impl FnOnce(&[&dyn ToSql]) -> T) -> T {
                let values: [&dyn ToSql; $length] = self.each_ref().map(|value| value as &dyn ToSql);
                to(&values)
            }
        })+
    };
}

arrays!(1 2 3 4 5 6 7 8);

macro_rules! tuples {
    ($($first:ident $(, $more:ident)*;)+) => {
        $(
            #[allow(non_snake_case, reason = "the names are those of the types")]
            impl<$first: ToSql $(, $more: ToSql)*> Params for ($first, $($more,)*) {
                fn bind<T>(&self, to: impl FnOnce(&[&dyn ToSql]) -> T) -> T {
                    let ($first, $($more,)*) = self;
                    to(&[$first, $($more),*])
                }
            }
        )+
    };
}

tuples! {
    A;
    A, B;
    A, B, C;
    A, B, C, D;
    A, B, C, D, E;
    A, B, C, D, E, F;
    A, B, C, D, E, F, G;
    A, B, C, D, E, F, G, H;
    A, B, C, D, E, F, G, H, I;
    A, B, C, D, E, F, G, H, I, J;
    A, B, C, D, E, F, G, H, I, J, K;
    A, B, C, D, E, F, G, H, I, J, K, L;
    A, B, C, D, E, F, G, H, I, J, K, L, M;
    A, B, C, D, E, F, G, H, I, J, K, L, M, N;
    A, B, C, D, E, F, G, H, I, J, K, L, M, N, O;
    A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P;
}
