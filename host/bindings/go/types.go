// Package wit_types has the types of WIT that Go does not have.
package wit_types

// Unit is a value that says nothing.
type Unit struct{}

// The tags of Option and Result.
const (
	OptionNone = 0
	OptionSome = 1
	ResultOk   = 0
	ResultErr  = 1
)

// Option is a value, or none.
type Option[T any] struct {
	tag  uint8
	some T
}

// None is no value.
func None[T any]() Option[T] { return Option[T]{} }

// Some is a value.
func Some[T any](value T) Option[T] { return Option[T]{OptionSome, value} }

// Tag is OptionNone or OptionSome.
func (option Option[T]) Tag() uint8 { return option.tag }

// IsSome says whether there is a value.
func (option Option[T]) IsSome() bool { return option.tag == OptionSome }

// IsNone says whether there is none.
func (option Option[T]) IsNone() bool { return option.tag == OptionNone }

// Some returns the value. It panics if there is none.
func (option Option[T]) Some() T {
	if option.tag != OptionSome {
		panic("this option has no value")
	}
	return option.some
}

// SomeOr returns the value, or another one if there is none.
func (option Option[T]) SomeOr(other T) T {
	if option.tag != OptionSome {
		return other
	}
	return option.some
}

// Result is what a function returns, or its error.
type Result[T, E any] struct {
	tag uint8
	ok  T
	err E
}

// Ok is a success.
func Ok[T, E any](value T) Result[T, E] { return Result[T, E]{tag: ResultOk, ok: value} }

// Err is an error.
func Err[T, E any](value E) Result[T, E] { return Result[T, E]{tag: ResultErr, err: value} }

// Tag is ResultOk or ResultErr.
func (result Result[T, E]) Tag() uint8 { return result.tag }

// IsOk says whether it is a success.
func (result Result[T, E]) IsOk() bool { return result.tag == ResultOk }

// IsErr says whether it is an error.
func (result Result[T, E]) IsErr() bool { return result.tag == ResultErr }

// Ok returns what a success has. It panics for an error.
func (result Result[T, E]) Ok() T {
	if result.tag != ResultOk {
		panic("this result is an error")
	}
	return result.ok
}

// Err returns the error. It panics for a success.
func (result Result[T, E]) Err() E {
	if result.tag != ResultErr {
		panic("this result is no error")
	}
	return result.err
}
