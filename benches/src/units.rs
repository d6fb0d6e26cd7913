//! Numbers for people: three significant digits and a unit.

/// A time: `67.1 µs`.
#[must_use]
pub fn seconds(value: f64) -> String {
    let units = [("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0)];
    scaled(value, &units)
}

/// A long time: `3.2 hours`.
#[must_use]
pub fn duration(value: f64) -> String {
    let units = [
        ("minutes", 60.0),
        ("hours", 3600.0),
        ("days", 86_400.0),
        ("years", 31_557_600.0),
    ];
    if value < 100.0 {
        seconds(value)
    } else {
        scaled(value, &units)
    }
}

/// A number of bytes in decimal units: `8.00 TB`.
#[must_use]
pub fn bytes(value: f64) -> String {
    let units = [
        ("B", 1.0),
        ("kB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("TB", 1e12),
        ("PB", 1e15),
        ("EB", 1e18),
        ("ZB", 1e21),
    ];
    if value < 1e3 {
        format!("{value:.0} B")
    } else {
        scaled(value, &units)
    }
}

/// A whole number in groups of three digits: `17,226`.
#[must_use]
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A ratio: `1.43`, `812`.
#[must_use]
pub fn ratio(value: f64) -> String {
    three_digits(value)
}

fn scaled(value: f64, units: &[(&str, f64)]) -> String {
    // 999.6 of a unit would round to 1000 of it.
    let fits = |unit: &&(&str, f64)| value >= 0.9995 * unit.1;
    let (name, size) = units.iter().rev().find(fits).unwrap_or(&units[0]);
    format!("{} {name}", three_digits(value / size))
}

fn three_digits(value: f64) -> String {
    match value {
        v if v >= 99.95 => format!("{v:.0}"),
        v if v >= 9.995 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_the_unit_that_fits() {
        assert_eq!(seconds(6.71e-5), "67.1 µs");
        assert_eq!(seconds(0.9996e-3), "1.00 ms");
        assert_eq!(seconds(12.0), "12.0 s");
        assert_eq!(seconds(3e-11), "0.03 ns");
        assert_eq!(duration(7200.0), "2.00 hours");
        assert_eq!(bytes(8e12), "8.00 TB");
        assert_eq!(bytes(2.45e23), "245 ZB");
        assert_eq!(bytes(17.0), "17 B");
        assert_eq!(ratio(812.3), "812");
        assert_eq!(count(1_001_070), "1,001,070");
        assert_eq!(count(85), "85");
    }
}
