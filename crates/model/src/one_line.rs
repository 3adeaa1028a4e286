/// The text on one line, as a header holds it: control characters become spaces, and of the rest
/// whole characters are kept up to `max_bytes`. It neither begins nor ends with a space, which some
/// servers refuse in a header.
pub fn one_line(text: &str, max_bytes: usize) -> String {
    let mut line = String::new();
    for character in text.chars() {
        let character = if character.is_control() { ' ' } else { character };
        if line.len() + character.len_utf8() > max_bytes {
            break;
        }
        line.push(character);
    }
    line.trim().to_owned()
}
