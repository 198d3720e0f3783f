//! Ages as `kubectl` users know them: `35s`, `4m20s`, `3h`, `12d`.

use jiff::Timestamp;

/// The time since an RFC 3339 timestamp, in the two coarsest units that matter.
pub(crate) fn age(timestamp: &str, now: Timestamp) -> String {
    match timestamp.parse::<Timestamp>() {
        Ok(then) => duration(now.as_second() - then.as_second()),
        Err(_) => "<invalid>".to_owned(),
    }
}

fn duration(seconds: i64) -> String {
    const YEAR: i64 = 24 * 365;
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    // What is left over in the smaller unit is not shown when it is nothing.
    let two = |big: i64, unit: char, small: i64, small_unit: char| match small {
        0 => format!("{big}{unit}"),
        small => format!("{big}{unit}{small}{small_unit}"),
    };
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        _ if minutes < 10 => two(minutes, 'm', seconds % 60, 's'),
        _ if minutes < 3 * 60 => format!("{minutes}m"),
        _ if hours < 8 => two(hours, 'h', minutes % 60, 'm'),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 8 * 24 => two(hours / 24, 'd', hours % 24, 'h'),
        _ if hours < 2 * YEAR => format!("{}d", hours / 24),
        _ if hours < 8 * YEAR => two(hours / YEAR, 'y', hours / 24 % 365, 'd'),
        _ => format!("{}y", hours / YEAR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_as_in_kubectl() {
        for (seconds, text) in [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (150, "2m30s"),
            (600, "10m"),
            (3 * 3600 - 1, "179m"),
            (3 * 3600, "3h"),
            (3 * 3600 + 60, "3h1m"),
            (8 * 3600, "8h"),
            (48 * 3600, "2d"),
            (49 * 3600, "2d1h"),
            (8 * 86400, "8d"),
            (729 * 86400, "729d"),
            (730 * 86400, "2y"),
            (731 * 86400, "2y1d"),
            (8 * 365 * 86400, "8y"),
        ] {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
    }
}
