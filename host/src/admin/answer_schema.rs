//! The JSON Schema of a wire type, from its own `Deserialize`: the code that reads an answer says which members it has.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value, json};

/// The schema of `T`. It reads a `T` of zeros and empty texts, and notes what `T` asks for.
pub(super) fn schema_of<T: DeserializeOwned>() -> Value {
    let mut schema = Value::Null;
    // A type that accepts no zeros is described as far as it was read.
    let _ = T::deserialize(SchemaProbe(&mut schema));
    schema
}

type ProbeError = serde::de::value::Error;

/// Reads one value, and writes its schema.
struct SchemaProbe<'a>(&'a mut Value);

macro_rules! scalars {
    ($($method:ident, $visit:ident, $zero:expr, $schema:tt;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ProbeError> {
            *self.0 = json!($schema);
            visitor.$visit($zero)
        })*
    };
}

impl<'de> Deserializer<'de> for SchemaProbe<'_> {
    type Error = ProbeError;

    scalars! {
        deserialize_bool, visit_bool, false, { "type": "boolean" };
        deserialize_u8, visit_u8, 0, { "type": "integer", "minimum": 0 };
        deserialize_u16, visit_u16, 0, { "type": "integer", "minimum": 0 };
        deserialize_u32, visit_u32, 0, { "type": "integer", "minimum": 0 };
        deserialize_u64, visit_u64, 0, { "type": "integer", "minimum": 0 };
        deserialize_i64, visit_i64, 0, { "type": "integer" };
        deserialize_f64, visit_f64, 0.0, { "type": "number" };
        deserialize_str, visit_borrowed_str, "", { "type": "string" };
        deserialize_string, visit_borrowed_str, "", { "type": "string" };
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ProbeError> {
        *self.0 = json!({});
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ProbeError> {
        let mut some = Value::Null;
        let read = visitor.visit_some(SchemaProbe(&mut some));
        *self.0 = json!({ "anyOf": [some, { "type": "null" }] });
        read
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ProbeError> {
        let mut items = Value::Null;
        let read = visitor.visit_seq(OneItem(Some(&mut items)));
        *self.0 = json!({ "type": "array", "items": items });
        read
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ProbeError> {
        *self.0 = json!({ "type": "object" });
        visitor.visit_map(Members { left: &[], name: "", schema: &mut Map::new() })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ProbeError> {
        let mut properties = Map::new();
        let read = visitor.visit_map(Members { left: fields, name: "", schema: &mut properties });
        *self.0 = json!({ "type": "object", "properties": properties, "required": fields });
        read
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ProbeError> {
        *self.0 = json!({ "type": "string", "enum": variants });
        visitor.visit_enum(FirstVariant(variants.first().copied().unwrap_or_default()))
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u128 f32 char bytes byte_buf unit unit_struct newtype_struct tuple tuple_struct identifier
        ignored_any
    }
}

/// A sequence of one item: enough to see its type.
struct OneItem<'a>(Option<&'a mut Value>);

impl<'de> SeqAccess<'de> for OneItem<'_> {
    type Error = ProbeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ProbeError> {
        self.0.take().map(|schema| seed.deserialize(SchemaProbe(schema))).transpose()
    }
}

/// The members of an object.
struct Members<'a> {
    left: &'static [&'static str],
    name: &'static str,
    schema: &'a mut Map<String, Value>,
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = ProbeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ProbeError> {
        let Some((first, rest)) = self.left.split_first() else { return Ok(None) };
        (self.name, self.left) = (first, rest);
        let name: StrDeserializer<'_, ProbeError> = (*first).into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ProbeError> {
        let mut schema = Value::Null;
        let read = seed.deserialize(SchemaProbe(&mut schema));
        self.schema.insert(self.name.to_owned(), schema);
        read
    }
}

/// The first case of an enumeration, which has no payload.
struct FirstVariant(&'static str);

impl<'de> EnumAccess<'de> for FirstVariant {
    type Error = ProbeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), ProbeError> {
        let name: StrDeserializer<'_, ProbeError> = self.0.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for FirstVariant {
    type Error = ProbeError;

    fn unit_variant(self) -> Result<(), ProbeError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, ProbeError> {
        Err(ProbeError::custom("no wire type has a case with a payload"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, ProbeError> {
        Err(ProbeError::custom("no wire type has a case with a payload"))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, ProbeError> {
        Err(ProbeError::custom("no wire type has a case with a payload"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BreakerView, LineView, ServiceView};
    use super::*;

    #[test]
    fn a_schema_has_the_members_that_the_type_reads() {
        assert_eq!(schema_of::<BreakerView>(), json!({ "type": "string", "enum": ["closed", "open", "half-open"] }));
        let service = schema_of::<ServiceView>();
        assert_eq!(service["properties"]["name"], json!({ "type": "string" }));
        assert_eq!(service["properties"]["revision"]["anyOf"][1], json!({ "type": "null" }));
        let endpoint = &service["properties"]["endpoints"]["items"]["properties"];
        assert_eq!(endpoint["weight"], json!({ "type": "integer", "minimum": 0 }));
        assert_eq!(endpoint["breaker"]["enum"][1], "open");
        assert!(service["required"].as_array().unwrap().contains(&json!("left_out")));
        assert_eq!(schema_of::<LineView>()["properties"]["fields"]["type"], "object");
        assert_eq!(schema_of::<Vec<u64>>(), json!({ "type": "array", "items": { "type": "integer", "minimum": 0 } }));
    }
}
