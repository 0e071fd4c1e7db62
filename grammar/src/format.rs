//! The enforced values of `format`, as patterns of bounded length: at temperature 0, a model
//! repeats itself for as long as it may.

use anyhow::Result;

use crate::Limits;
use crate::pattern::texts_with;
use crate::regex::Rx;

const DATE: &str = r"(?:\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))|(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)";
const MINUTES: &str = r"(?:[01]\d|2[0-3]):[0-5]\d";
const LABEL: &str = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
const IPV4: &str = r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)";
const IPV6: &str = "(?:(?:H:){7}H|(?:H:){1,7}:|(?:H:){1,6}:H|(?:H:){1,5}(?::H){1,2}|(?:H:){1,4}(?::H){1,3}|(?:H:){1,3}(?::H){1,4}|(?:H:){1,2}(?::H){1,5}|H:(?::H){1,6}|:(?:(?::H){1,7}|:))";

/// The texts of a format; `None` for a format that is not enforced. `beside_pattern`: the schema
/// also has a `pattern`, which is more specific and may use the format less strictly.
pub fn texts(format: &str, beside_pattern: bool, limits: &Limits) -> Result<Option<Rx>> {
    let fraction = format!(r"(?:\.\d{{1,{}}})?", limits.seconds.max(1));
    let (seconds, offset) = (format!(":[0-5]\\d{fraction}"), format!("(?:Z|[+-]{MINUTES})"));
    let time = if beside_pattern {
        format!("{MINUTES}(?:{seconds})?{offset}?")
    } else {
        format!("{MINUTES}{seconds}{offset}")
    };
    let ipv6 = IPV6.replace('H', "[0-9a-fA-F]{1,4}");
    let url_label = "[A-Za-z0-9]{1,63}(?:-[A-Za-z0-9]{1,63}){0,8}";
    let path = "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})";
    let pattern = match format {
        "date" => DATE.to_owned(),
        "time" => time,
        "date-time" => format!("{DATE}T{time}"),
        "duration" => r"P(?:N{1}W|(?=\d|T\d)(?:N{1}Y)?(?:N{1}M)?(?:N{1}D)?(?:T(?=\d)(?:N{1}H)?(?:N{1}M)?(?:N{1}S)?)?)"
            .replace("N{1}", r"\d{1,9}"),
        "email" => {
            // few libraries accept everything that RFC 5321 allows
            let atom = if beside_pattern { r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]" } else { "[A-Za-z0-9_+-]" };
            let label = if beside_pattern { LABEL } else { url_label };
            format!(r"(?=.{{1,64}}@)(?=.{{3,254}}$){atom}+(?:\.{atom}+)*@(?:{label}\.)+[A-Za-z]{{2,63}}")
        }
        "hostname" => format!(r"(?=.{{1,253}}$){LABEL}(?:\.{LABEL})*"),
        "ipv4" => IPV4.to_owned(),
        "ipv6" => ipv6,
        "uuid" => "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}".to_owned(),
        // pydantic's names, like `ipvanyaddress`
        "uuid1" | "uuid3" | "uuid4" | "uuid5" | "uuid6" | "uuid7" | "uuid8" => {
            let version = &format["uuid".len()..];
            format!(
                "[0-9a-fA-F]{{8}}-[0-9a-fA-F]{{4}}-{version}[0-9a-fA-F]{{3}}-[89abAB][0-9a-fA-F]{{3}}-[0-9a-fA-F]{{12}}"
            )
        }
        "ipvanyaddress" => format!("{IPV4}|{ipv6}"),
        "uri" => {
            let host =
                format!(r"(?:(?:{url_label}\.)*[A-Za-z]{{1,63}}(?:-[A-Za-z0-9]{{1,63}}){{0,8}}|{IPV4}|\[{ipv6}\])");
            let (scheme, rest) = ("[A-Za-z][A-Za-z0-9+.-]{0,31}", r"(?:\?(?:§|[/?])*)?(?:#(?:§|[/?])*)?");
            let port = r"(?::(?:[1-9]\d{0,3}|[1-5]\d{4}))?";
            let special = "(?!(?:[Hh][Tt][Tt][Pp][Ss]?|[Ww][Ss][Ss]?|[Ff][Tt][Pp]|[Ff][Ii][Ll][Ee]):)";
            format!("(?:{scheme}://{host}{port}(?:/§*)*|{special}{scheme}:§(?:§|/)*){rest}").replace('§', path)
        }
        "base64" => "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?".to_owned(),
        "base64url" => "[A-Za-z0-9_-]*".to_owned(),
        "jwt" => r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+".to_owned(),
        _ => return Ok(None),
    };
    Ok(Some(texts_with(&format!("^(?:{pattern})$"))?))
}

/// Formats whose texts are unbounded without a limit.
pub fn needs_bound(format: &str) -> bool {
    const ENDLESS: [&str; 21] = [
        "uri",
        "base64",
        "base64url",
        "jwt",
        "e164",
        "nanoid",
        "cuid",
        "cuid2",
        "ulid",
        "xid",
        "ksuid",
        "emoji",
        "cidrv4",
        "cidrv6",
        "guid",
        "hex",
        "mac",
        "duration",
        "time",
        "date-time",
        "hostname",
    ];
    ENDLESS.contains(&format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_match_their_texts_and_are_bounded() {
        for (format, yes, no) in [
            ("date", &["2024-02-29", "2023-12-31"][..], &["2023-02-29", "2023-13-01", "1-1-1"][..]),
            (
                "date-time",
                &["2024-01-02T03:04:05Z", "2024-01-02T03:04:05.123+01:00"],
                &["2024-01-02T03:04:05", "2024-01-02"],
            ),
            ("time", &["03:04:05Z"], &["03:04", "25:00:00Z"]),
            ("duration", &["P1Y2M3DT4H5M6S", "PT1S", "P3W"], &["P", "PT", "1D"]),
            ("email", &["a.b+c@d-e.org"], &["a..b@c.de", ".a@b.cd", "a@b", "a b@c.de", "a@-b.cd"]),
            ("hostname", &["a-b.c", "localhost"], &["-a", "a..b", ""]),
            ("ipv4", &["0.0.0.0", "255.1.2.3"], &["256.0.0.0", "01.1.1.1", "1.1.1"]),
            ("ipv6", &["::", "::1", "1:2:3:4:5:6:7:8", "fe80::1"], &["1::2::3", ":", "12345::"]),
            ("uuid", &["123e4567-e89b-12d3-a456-426614174000"], &["123e4567"]),
            ("uuid4", &["123e4567-e89b-42d3-a456-426614174000"], &["123e4567-e89b-12d3-a456-426614174000"]),
            ("ipvanyaddress", &["1.2.3.4", "::1"], &["1.2.3", "x"]),
            (
                "uri",
                &["https://a.b/c?d=e#f", "mailto:a@b.c", "http://[::1]:80/"],
                &["a", "http://", "https:x", "http://a b"],
            ),
            ("base64", &["", "YQ==", "YWJj"], &["YQ", "Y==="]),
            ("jwt", &["a.b.c"], &["a.b"]),
        ] {
            let mut matcher = texts(format, false, &Limits::default()).unwrap().unwrap().matcher().unwrap();
            yes.iter().for_each(|text| assert!(matcher.is_match(text), "{format} {text}"));
            no.iter().for_each(|text| assert!(!matcher.is_match(text), "{format} {text}"));
        }
        let mut email = texts("email", false, &Limits::default()).unwrap().unwrap().matcher().unwrap();
        assert!(!email.is_match(&format!("{}@b.cd", "a".repeat(65))));
        assert!(!email.is_match(&format!("a@{}cd", "b.".repeat(200))));
        let mut time = texts("time", false, &Limits::default()).unwrap().unwrap().matcher().unwrap();
        assert!(!time.is_match(&format!("03:04:05.{}Z", "0".repeat(50))));
        assert!(texts("no such format", false, &Limits::default()).unwrap().is_none());
    }
}
