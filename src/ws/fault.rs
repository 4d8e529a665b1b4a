//! What peers do against RFC 6455, with the close code and the name of each.
//!
//! Deliberately absent: faults of the HTTP request before the upgrade (`refusal`).

/// What a peer did that RFC 6455 forbids, or that passes a limit. The
/// connection ends: nothing after a fault can be trusted to be a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A reserved bit is set, and no extension was negotiated (5.2).
    ReservedBits,
    /// An opcode that the RFC keeps for later (5.2).
    ReservedOpcode,
    /// A client's frame without a mask (5.1).
    MaskMissing,
    /// A server's frame with a mask (5.1).
    MaskUnexpected,
    /// A control frame that is not its message's only frame (5.5).
    ControlFragmented,
    /// A control frame of more than 125 bytes (5.5).
    ControlTooLong,
    /// A length that has a shorter form (5.2).
    LengthNotMinimal,
    /// A length with its highest bit set (5.2).
    LengthOutOfRange,
    /// A continuation, and nothing to be continued (5.4).
    ContinuationUnexpected,
    /// A new message before the last fragment of the one before (5.4).
    MessageInterrupted,
    /// More bytes than a message may have.
    MessageTooLong,
    /// Text that is not UTF-8 (8.1).
    TextNotUtf8,
    /// A close frame with half a code (5.5.1).
    CloseTooShort,
    /// A close code that may not be sent (7.4).
    CloseCodeInvalid,
    /// A close reason that is not UTF-8 (5.5.1).
    ReasonNotUtf8,
}

impl Fault {
    /// All of them, for tables by fault.
    pub const ALL: [Fault; 15] = [
        Fault::ReservedBits,
        Fault::ReservedOpcode,
        Fault::MaskMissing,
        Fault::MaskUnexpected,
        Fault::ControlFragmented,
        Fault::ControlTooLong,
        Fault::LengthNotMinimal,
        Fault::LengthOutOfRange,
        Fault::ContinuationUnexpected,
        Fault::MessageInterrupted,
        Fault::MessageTooLong,
        Fault::TextNotUtf8,
        Fault::CloseTooShort,
        Fault::CloseCodeInvalid,
        Fault::ReasonNotUtf8,
    ];

    /// The code that the peer is told in the close frame (7.4.1).
    pub fn close_code(self) -> u16 {
        match self {
            Fault::ReservedBits
            | Fault::ReservedOpcode
            | Fault::MaskMissing
            | Fault::MaskUnexpected
            | Fault::ControlFragmented
            | Fault::ControlTooLong
            | Fault::LengthNotMinimal
            | Fault::LengthOutOfRange
            | Fault::ContinuationUnexpected
            | Fault::MessageInterrupted
            | Fault::CloseTooShort
            | Fault::CloseCodeInvalid => 1002,
            Fault::TextNotUtf8 | Fault::ReasonNotUtf8 => 1007,
            Fault::MessageTooLong => 1009,
        }
    }

    /// The name in metrics and logs, and the reason in the close frame.
    pub fn label(self) -> &'static str {
        match self {
            Fault::ReservedBits => "reserved_bits",
            Fault::ReservedOpcode => "reserved_opcode",
            Fault::MaskMissing => "mask_missing",
            Fault::MaskUnexpected => "mask_unexpected",
            Fault::ControlFragmented => "control_fragmented",
            Fault::ControlTooLong => "control_too_long",
            Fault::LengthNotMinimal => "length_not_minimal",
            Fault::LengthOutOfRange => "length_out_of_range",
            Fault::ContinuationUnexpected => "continuation_unexpected",
            Fault::MessageInterrupted => "message_interrupted",
            Fault::MessageTooLong => "message_too_long",
            Fault::TextNotUtf8 => "text_not_utf8",
            Fault::CloseTooShort => "close_too_short",
            Fault::CloseCodeInvalid => "close_code_invalid",
            Fault::ReasonNotUtf8 => "reason_not_utf8",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_fault_has_a_name_of_its_own() {
        let labels: BTreeSet<_> = Fault::ALL.iter().map(|fault| fault.label()).collect();
        assert_eq!(labels.len(), Fault::ALL.len());
    }
}
