//! Times as people read and write them: RFC 3339 in UTC, with milliseconds.

const DAY_MS: i64 = 86_400_000;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAY: i64 = 719_468;
/// Days of 400 years.
const ERA_DAYS: i64 = 146_097;

/// `2026-11-27T21:17:01.123Z`, or the number itself where it is no time of these millennia.
pub(crate) fn time_text(ms: i64) -> String {
    let (day, ms_of_day) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    let (year, month, day) = date_of(day);
    if ms < 0 || year > 9_999 {
        return ms.to_string();
    }
    let (seconds, ms) = (ms_of_day / 1_000, ms_of_day % 1_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Milliseconds since 1970 of a number, a date, or a date and a time in UTC.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    if let Ok(ms) = text.parse() {
        return Some(ms);
    }
    let (date, time) = text.trim_end_matches('Z').split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let [year, month, day] = numbers::<3>(date, '-')?;
    let (time, ms) = match time.split_once('.') {
        Some((time, digits)) if (1..=3).contains(&digits.len()) => {
            (time, digits.parse::<i64>().ok()? * 10i64.pow(3 - digits.len() as u32))
        }
        Some(_) => return None,
        None => (time, 0),
    };
    let [hour, minute, second] = numbers::<3>(time, ':')
        .or_else(|| numbers::<2>(time, ':').map(|[hour, minute]| [hour, minute, 0]))?;
    let is_time = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..60).contains(&second);
    let days = day_of(year, month, day);
    let is_date = (0..=9_999).contains(&year) && date_of(days) == (year, month, day);
    (is_time && is_date).then(|| days * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1_000 + ms)
}

fn numbers<const N: usize>(text: &str, separator: char) -> Option<[i64; N]> {
    let numbers: Vec<i64> = text
        .split(separator)
        .map(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten())
        .collect::<Option<_>>()?;
    numbers.try_into().ok()
}

/// Year, month and day of a day since 1970. Years are counted from March, so that a leap day is the last one.
fn date_of(day: i64) -> (i64, i64, i64) {
    let day = day + EPOCH_DAY;
    let (era, day) = (day.div_euclid(ERA_DAYS), day.rem_euclid(ERA_DAYS));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

fn day_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let month = (month + 9) % 12;
    era * ERA_DAYS + 365 * year + year / 4 - year / 100 + (153 * month + 2) / 5 + day - 1 - EPOCH_DAY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read_back() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_164_799_999, "2024-02-28T23:59:59.999Z"),
            (1_709_251_200_000, "2024-03-01T00:00:00.000Z"),
            (4_102_444_800_000, "2100-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(time_text(ms), text);
            assert_eq!(parse_time(text), Some(ms));
        }
        assert_eq!(time_text(-1), "-1");
        assert_eq!(time_text(i64::MAX), i64::MAX.to_string());
    }

    #[test]
    fn every_day_comes_back() {
        let mut date = (1970, 1, 1);
        for day in 0..200_000 {
            assert_eq!((date_of(day), day_of(date.0, date.1, date.2)), (date, day));
            let is_leap = date.0 % 4 == 0 && (date.0 % 100 != 0 || date.0 % 400 == 0);
            let days = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            date = match date {
                (year, 12, 31) => (year + 1, 1, 1),
                (year, month, day) if day == days[month as usize - 1] => (year, month + 1, 1),
                (year, month, day) => (year, month, day + 1),
            };
        }
    }

    #[test]
    fn times_in_short_are_read_and_what_is_none_is_not() {
        for (text, ms) in [
            ("1700000000000", 1_700_000_000_000),
            ("2023-11-14", 1_699_920_000_000),
            ("2023-11-14T22:13", 1_699_999_980_000),
            ("2023-11-14 22:13:20", 1_700_000_000_000),
            ("2023-11-14T22:13:20.5Z", 1_700_000_000_500),
        ] {
            assert_eq!(parse_time(text), Some(ms), "{text}");
        }
        for text in ["", "soon", "2023-02-29", "2023-11-14T24:00", "2023-11", "2023-11-14T1:2:3:4", "+1-1-1"]
        {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
