//! Many times of one thing, condensed.

use serde::Serialize;

/// How times are spread, in nanoseconds. The lower quartile is the figure to compare: the median of runs on a busy host is noise,
/// and the minimum is luck.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// How many times were taken.
    pub count: usize,
    /// The least.
    pub minimum: f64,
    /// A quarter are below.
    pub lower_quartile: f64,
    /// Half are below.
    pub median: f64,
    /// Three quarters are below.
    pub upper_quartile: f64,
}

impl Spread {
    /// The spread of `times`; all 0 if there are none.
    #[must_use]
    pub fn of(times: &[u64]) -> Self {
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        let at = |fraction: f64| quantile(&sorted, fraction);
        Self {
            count: sorted.len(),
            minimum: at(0.0),
            lower_quartile: at(0.25),
            median: at(0.5),
            upper_quartile: at(0.75),
        }
    }
}

/// Between two neighbours where the quantile falls between them.
fn quantile(sorted: &[u64], fraction: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = fraction * last as f64;
    let (low, high) = (sorted[place.floor() as usize] as f64, sorted[place.ceil() as usize] as f64);
    low + (high - low) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_their_neighbours() {
        let spread = Spread::of(&[50, 10, 20, 40, 30]);
        let expected = Spread { count: 5, minimum: 10.0, lower_quartile: 20.0, median: 30.0, upper_quartile: 40.0 };
        assert_eq!(spread, expected);
        assert_eq!(Spread::of(&[10, 20]).lower_quartile, 12.5);
    }

    #[test]
    fn nothing_and_one_have_a_spread_too() {
        assert_eq!(Spread::of(&[]), Spread::default());
        assert_eq!(Spread::of(&[7]).upper_quartile, 7.0);
    }
}
