//! Linear regression with a small penalty: what can be predicted of a value from columns that are known beforehand.

/// A fitted prediction.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// Change of the value per unit of each column.
    pub coefficients: Vec<f64>,
    /// Share of the variance explained (R squared), adjusted for the number of columns; at most 1, and below 0 where the
    /// columns explain less than chance would.
    pub explained: f64,
}

/// Pulls coefficients towards 0, as if one unit had been seen without any effect: columns that say the same as others,
/// or nothing, get small coefficients rather than none.
const PENALTY: f64 = 1.0;

/// Least squares of `values` on `rows`, each row as long as the others, with an intercept. `None` unless there are at
/// least two more rows than columns, a column, and some spread in the values.
pub fn fit(rows: &[Vec<f64>], values: &[f64]) -> Option<Fit> {
    let (n, width) = (rows.len(), rows.first()?.len());
    if width == 0 || n != values.len() || n < width + 3 || rows.iter().any(|row| row.len() != width) {
        return None;
    }
    let count = n as f64;
    let mean = values.iter().sum::<f64>() / count;
    let means: Vec<f64> = (0..width).map(|column| rows.iter().map(|row| row[column]).sum::<f64>() / count).collect();
    let mut matrix = vec![vec![0.0; width + 1]; width];
    for (row, value) in rows.iter().zip(values) {
        let centred: Vec<f64> = row.iter().zip(&means).map(|(cell, mean)| cell - mean).collect();
        for (line, left) in matrix.iter_mut().zip(&centred) {
            for (cell, right) in line.iter_mut().zip(&centred) {
                *cell += left * right;
            }
            line[width] += left * (value - mean);
        }
    }
    for (place, line) in matrix.iter_mut().enumerate() {
        line[place] += PENALTY;
    }
    let coefficients = solve(matrix)?;
    let whole: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let left: f64 = rows
        .iter()
        .zip(values)
        .map(|(row, value)| {
            let predicted: f64 =
                row.iter().zip(&means).zip(&coefficients).map(|((cell, mean), slope)| (cell - mean) * slope).sum();
            (value - mean - predicted).powi(2)
        })
        .sum();
    let explained = 1.0 - left / whole * (count - 1.0) / (count - 1.0 - width as f64);
    (whole > 0.0 && explained.is_finite()).then_some(Fit { coefficients, explained })
}

/// Gauss's elimination with pivots, on a square matrix with the right-hand side as its last column.
fn solve(mut matrix: Vec<Vec<f64>>) -> Option<Vec<f64>> {
    let width = matrix.len();
    for column in 0..width {
        let pivot = (column..width).max_by(|a, b| matrix[*a][column].abs().total_cmp(&matrix[*b][column].abs()))?;
        matrix.swap(column, pivot);
        let top = matrix[column].clone();
        if !(top[column].is_finite() && top[column].abs() > 1e-12) {
            return None;
        }
        for line in &mut matrix[column + 1..] {
            let factor = line[column] / top[column];
            for (cell, above) in line.iter_mut().zip(&top) {
                *cell -= factor * above;
            }
        }
    }
    let mut solution = vec![0.0; width];
    for place in (0..width).rev() {
        let known: f64 = (place + 1..width).map(|later| matrix[place][later] * solution[later]).sum();
        solution[place] = (matrix[place][width] - known) / matrix[place][place];
    }
    solution.iter().all(|value| value.is_finite()).then_some(solution)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Columns that are uncorrelated over a full cycle.
    fn rows() -> Vec<Vec<f64>> {
        (0..1_200).map(|place| vec![f64::from(place % 3) - 1.0, f64::from(place % 4)]).collect()
    }

    #[test]
    fn finds_what_is_there_and_says_how_much_it_explains() {
        let rows = rows();
        let noise = |place: usize| if place % 5 < 2 { 1.5 } else { -1.0 };
        let values: Vec<f64> =
            rows.iter().enumerate().map(|(place, row)| 7.0 + 2.0 * row[0] - 0.5 * row[1] + noise(place)).collect();
        let fit = fit(&rows, &values).unwrap();
        assert!((fit.coefficients[0] - 2.0).abs() < 0.01, "{fit:?}");
        assert!((fit.coefficients[1] + 0.5).abs() < 0.01, "{fit:?}");
        // Variances: 4 * 2/3 + .25 * 1.25 explained, 1.5 left.
        let signal = 8.0 / 3.0 + 0.3125;
        assert!((fit.explained - signal / (signal + 1.5)).abs() < 0.01, "{fit:?}");
    }

    #[test]
    fn useless_columns_explain_nothing_and_bad_input_is_refused() {
        let rows = rows();
        let values: Vec<f64> = (0..rows.len()).map(|place| f64::from(u8::from(place % 5 < 2))).collect();
        assert!(fit(&rows, &values).unwrap().explained < 0.01);
        let twice: Vec<Vec<f64>> = rows.iter().map(|row| vec![row[0], row[0]]).collect();
        let values: Vec<f64> = rows.iter().map(|row| row[0]).collect();
        assert!(fit(&twice, &values).unwrap().explained > 0.99);
        assert_eq!(fit(&rows, &vec![1.0; rows.len()]), None);
        assert_eq!(fit(&rows[..3], &values[..3]), None);
        assert_eq!(fit(&[], &[]), None);
        assert_eq!(fit(&vec![vec![f64::NAN]; 9], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]), None);
    }
}
