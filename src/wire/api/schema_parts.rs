//! What the schemas of calls and answers are made of: texts by their bytes, numbers by their range,
//! and objects by their fields.
//!
//! JSON Schema counts letters, and limits here are bytes. `maxLength` has the same number, and the
//! format `utf8-<n>` beside it says that it means bytes (`base64-<n>`: bytes that the text stands
//! for).
//!
//! Deliberately absent: which call has which field (`request_schemas`, `answer_schemas`).

use std::ops::RangeInclusive;

use serde_json::Value;
use utoipa::openapi::schema::{
    AdditionalProperties, AnyOfBuilder, ArrayBuilder, ObjectBuilder, Schema, SchemaFormat,
    SchemaType, Type,
};
use utoipa::openapi::{Ref, RefOr};

use super::fields::ApiField;
use crate::base::limits::NAME_BYTES_MAX;

/// What has no control character (`char::is_control`).
const NO_CONTROLS: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";

/// Base64 with padding, in its one form.
const BASE64: &str = "^(?:[A-Za-z0-9+/]{4})*\
                      (?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";

/// The id of a connection, in either case.
const CLIENT: &str = "^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$";

/// A text of so many bytes.
pub(super) fn text(bytes: RangeInclusive<usize>) -> ObjectBuilder {
    let (min, max) = bytes.into_inner();
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length((min != 0).then_some(min))
        .max_length(Some(max))
        .format(Some(SchemaFormat::Custom(format!("utf8-{max}"))))
}

/// The same without control characters.
pub(super) fn line(bytes: RangeInclusive<usize>) -> ObjectBuilder {
    text(bytes).pattern(Some(NO_CONTROLS))
}

/// The name of a channel or of a user.
pub(super) fn name() -> ObjectBuilder {
    line(1..=NAME_BYTES_MAX)
}

/// The name of a user.
pub(super) fn user() -> ObjectBuilder {
    name().description(Some("The name of a user, in UTF-8, without control characters."))
}

/// A pattern of channels.
pub(super) fn pattern() -> ObjectBuilder {
    line(0..=NAME_BYTES_MAX)
        .pattern(Some(r"^[^\u0000-\u001f\u007f-\u009f?\[\]{}\\]*$"))
        .description(Some("A star stands for any text. None or an empty one: all."))
}

/// A text of any length, within the body.
pub(super) fn any_text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// One of these words.
pub(super) fn word<const N: usize>(words: [&str; N]) -> ObjectBuilder {
    any_text().enum_values(Some(words))
}

/// Bytes in base64.
pub(super) fn base64() -> ObjectBuilder {
    any_text().pattern(Some(BASE64)).content_encoding("base64")
}

/// At most so many bytes in base64.
pub(super) fn short_base64(bytes_max: usize) -> ObjectBuilder {
    base64()
        .max_length(Some(bytes_max.div_ceil(3) * 4))
        .format(Some(SchemaFormat::Custom(format!("base64-{bytes_max}"))))
}

/// The id of a connection.
pub(super) fn client() -> ObjectBuilder {
    any_text().pattern(Some(CLIENT))
}

/// A number in digits.
pub(super) fn number(range: RangeInclusive<u64>) -> ObjectBuilder {
    let (min, max) = range.into_inner();
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(min)).maximum(Some(max))
}

/// How many.
pub(super) fn count() -> ObjectBuilder {
    number(0..=u64::MAX)
}

/// Unix seconds.
pub(super) fn time() -> ObjectBuilder {
    number(0..=u64::from(u32::MAX))
}

/// `true` or `false`.
pub(super) fn flag() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Boolean)
}

/// Any JSON.
pub(super) fn anything() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::AnyValue)
}

/// `null` alone.
pub(super) fn nothing() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Null)
}

/// So many of the same.
pub(super) fn list(count: RangeInclusive<usize>, each: impl Into<RefOr<Schema>>) -> ArrayBuilder {
    let (min, max) = count.into_inner();
    ArrayBuilder::new().items(each.into()).min_items((min != 0).then_some(min)).max_items(Some(max))
}

/// Values of one kind by names.
pub(super) fn map(each: impl Into<RefOr<Schema>>) -> ObjectBuilder {
    let each = AdditionalProperties::RefOr(each.into());
    ObjectBuilder::new().additional_properties(Some(each))
}

/// A schema of the document, by its name.
pub(super) fn named(name: &str) -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(name))
}

/// What holds where one of these does.
pub(super) fn any_of<const N: usize>(schemas: [ObjectBuilder; N]) -> Schema {
    schemas.into_iter().fold(AnyOfBuilder::new(), AnyOfBuilder::item).into()
}

/// Where a field stands that may be left out, `null` means the same.
fn or_null(mut schema: Schema) -> Schema {
    if let Schema::Object(object) = &mut schema {
        add_null(&mut object.schema_type);
        object.enum_values.iter_mut().for_each(|values| values.push(Value::Null));
    } else if let Schema::Array(array) = &mut schema {
        add_null(&mut array.schema_type);
    } else if let Schema::AnyOf(any_of) = &mut schema {
        any_of.items.push(nothing().into());
    } else {
        unreachable!("no field is {}", serde_json::json!(schema));
    }
    schema
}

fn add_null(kinds: &mut SchemaType) {
    match kinds {
        SchemaType::Type(Type::Null) | SchemaType::AnyValue => (),
        SchemaType::Type(kind) => *kinds = [kind.clone(), Type::Null].into_iter().collect(),
        SchemaType::Array(kinds) => kinds.push(Type::Null),
    }
}

/// An object with some fields of a call. Others are left alone.
#[derive(Default)]
pub(super) struct CallFields(ObjectBuilder);

impl CallFields {
    /// A field that has to be there.
    pub(super) fn needed(self, field: ApiField, schema: impl Into<Schema>) -> CallFields {
        CallFields(self.0.property(field.name(), schema.into()).required(field.name()))
    }

    /// A field that may be left out.
    pub(super) fn optional(self, field: ApiField, schema: impl Into<Schema>) -> CallFields {
        CallFields(self.0.property(field.name(), or_null(schema.into())))
    }

    /// A field that has to be there, and may be `null`, as its schema says.
    pub(super) fn present(self, field: ApiField) -> CallFields {
        CallFields(self.0.required(field.name()))
    }

    /// The object.
    pub(super) fn object(self) -> ObjectBuilder {
        self.0
    }

    /// The same where `null` and no body are an object without fields.
    pub(super) fn object_or_null(self) -> Schema {
        or_null(self.0.into())
    }
}

/// An object that the server makes: what it may have, and what it always has.
#[derive(Default)]
pub(super) struct AnswerMembers(ObjectBuilder);

impl AnswerMembers {
    /// A member that is always there.
    pub(super) fn always(self, name: &str, schema: impl Into<RefOr<Schema>>) -> AnswerMembers {
        AnswerMembers(self.0.property(name, schema).required(name))
    }

    /// A member that may be missing.
    pub(super) fn perhaps(self, name: &str, schema: impl Into<RefOr<Schema>>) -> AnswerMembers {
        AnswerMembers(self.0.property(name, schema))
    }

    /// The object.
    pub(super) fn object(self) -> ObjectBuilder {
        self.0
    }
}
