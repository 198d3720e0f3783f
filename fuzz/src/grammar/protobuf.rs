//! Kubernetes' protobuf: an envelope with a message in it that may be anything.

use super::{spoil::spoiled, value::text};
use crate::choices::Choices;

/// An object of this kind, in an envelope.
pub(crate) fn protobuf(choices: &mut Choices<'_>, api_version: &str, kind: &str) -> Vec<u8> {
    let mut type_meta = Vec::new();
    bytes(&mut type_meta, 1, api_version.as_bytes());
    bytes(&mut type_meta, 2, kind.as_bytes());
    let mut envelope = b"k8s\0".to_vec();
    bytes(&mut envelope, 1, &type_meta);
    match choices.below(8) {
        6 => bytes(&mut envelope, 3, text(choices).as_bytes()),
        7 => {
            bytes(&mut envelope, 4, b"application/json");
            bytes(&mut envelope, 2, text(choices).as_bytes());
        }
        _ => {
            let raw = message(choices, 4);
            bytes(&mut envelope, 2, &raw);
        }
    }
    if choices.one_in(4) { spoiled(choices, envelope) } else { envelope }
}

fn message(choices: &mut Choices<'_>, depth: usize) -> Vec<u8> {
    let mut message = Vec::new();
    for _ in 0..choices.below(6) {
        let field = 1 + choices.below(12) as u64;
        match choices.below(6) {
            0 | 1 => bytes(&mut message, field, text(choices).as_bytes()),
            2 | 3 if depth > 0 => {
                let inner = self::message(choices, depth - 1);
                bytes(&mut message, field, &inner);
            }
            4 => {
                varint(&mut message, field << 3 | 5);
                message.extend([choices.byte(), 0, 0, 0x80]);
            }
            _ => {
                varint(&mut message, field << 3);
                varint(&mut message, u64::from(choices.byte()) << choices.below(57));
            }
        }
    }
    message
}

fn bytes(message: &mut Vec<u8>, field: u64, content: &[u8]) {
    varint(message, field << 3 | 2);
    varint(message, content.len() as u64);
    message.extend_from_slice(content);
}

fn varint(message: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        message.push(number as u8 | 0x80);
        number >>= 7;
    }
    message.push(number as u8);
}
