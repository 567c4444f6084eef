// Package runtime is what the bindings call: memory for values that cross, and handles.
package runtime

import (
	goruntime "runtime"
	"unsafe"
)

// What the adapter of WASI preview 1 asks for before Go has started: its own state, of 64 KiB and aligned so.
var (
	early     [256 << 10]byte
	earlyUsed uintptr
	started   bool
)

func init() { started = true }

// The values that the host has put here for the call that is under way. Nothing in Go refers to them.
var arguments goruntime.Pinner

// Unpin lets go of the arguments of the call before.
func Unpin() { arguments.Unpin() }

// Allocate returns memory that stays where it is until the pinner lets go of it.
func Allocate(pinner *goruntime.Pinner, size, align uintptr) unsafe.Pointer {
	if size == 0 {
		return nil
	}
	// The canonical ABI aligns to 8 bytes at most.
	memory := unsafe.Pointer(unsafe.SliceData(make([]uint64, (size+7)/8)))
	pinner.Pin(memory)
	return memory
}

// The collector looks at the clock, and nothing may call the host while the host allocates: the adapter then shows the
// time that it knows.
//
//go:wasmimport wasi_snapshot_preview1 adapter_monotonic_clock_set_paused
func pauseClock(paused bool)

//go:wasmexport cabi_realloc
func reallocate(old unsafe.Pointer, oldSize, align, size uintptr) unsafe.Pointer {
	var memory unsafe.Pointer
	if started {
		pauseClock(true)
		memory = Allocate(&arguments, size, align)
		pauseClock(false)
	} else {
		begin := uintptr(unsafe.Pointer(&early))
		place := (begin + earlyUsed + align - 1) &^ (align - 1)
		if place+size > begin+uintptr(len(early)) {
			panic("too much is allocated before Go has started")
		}
		earlyUsed = place + size - begin
		memory = unsafe.Add(unsafe.Pointer(&early), place-begin)
	}
	if old != nil && memory != nil {
		copy(unsafe.Slice((*byte)(memory), size), unsafe.Slice((*byte)(old), min(oldSize, size)))
	}
	return memory
}

// Handle is a resource that is here, or is not any more.
type Handle struct{ number int32 }

// MakeHandle holds a resource.
func MakeHandle(number int32) *Handle {
	handle := &Handle{}
	handle.Set(number)
	return handle
}

// Use returns the resource, and keeps it.
func (handle *Handle) Use() int32 {
	if handle.number == 0 {
		panic("this resource was dropped, or was given away")
	}
	return handle.number
}

// Take gives the resource away.
func (handle *Handle) Take() int32 {
	number := handle.Use()
	handle.number = 0
	return number
}

// TakeOrNil gives the resource away, if it is here.
func (handle *Handle) TakeOrNil() int32 {
	number := handle.number
	handle.number = 0
	return number
}

// Set holds a resource, where none is held.
func (handle *Handle) Set(number int32) {
	if number == 0 || handle.number != 0 {
		panic("a handle holds one resource")
	}
	handle.number = number
}
