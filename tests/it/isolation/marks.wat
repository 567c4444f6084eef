;; A guest that leaves marks wherever a core module can keep something, and reports which marks it found when it was
;; called.
;;
;; `$visit` writes at 3072: eight digits, each 1 if a mark was found; the number of a handle that it opens and never
;; closes; the random number that the visit before kept (0 if there was none); and a new random number, which it
;; keeps.
;;
;;   0  a word in memory        3  pages that were grown        6  a table's elements
;;   1  initialised data        4  what stands in new pages     7  a table that was grown
;;   2  untouched memory        5  a global
;;
;; An instance that was never visited also still has its passive segments: using a dropped one traps.
;;
;; Memory: 1024 what calls return; 1536 strings that come in; 2048 the word; 2056 the kept number; 3072 the answer;
;; 3584 the name of the header; 4096 initialised data; from 8192 on untouched.
(module
  (@imports)
  (memory (export "memory") 2)
  (data (i32.const 3584) "x-marks")
  (data (i32.const 4096) "pristine")
  (data $segment "passive")
  (global $mark (mut i64) (i64.const 7))
  ;; More than the host's pool clears by hand: 64 KiB, or 8,192 elements.
  (table $table 10000 20000 funcref)
  (elem (table $table) (i32.const 0) func $nothing)
  (elem $elements func $nothing)

  (func $nothing)

  ;; Strings that come in are short.
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (if (i32.gt_u (local.get 3) (i32.const 512)) (then unreachable))
    (i32.const 1536))

  ;; Whether a byte from $at up to $end is not 0.
  (func $dirty (param $at i32) (param $end i32) (result i32)
    (loop $next
      (if (i32.ge_u (local.get $at) (local.get $end)) (then (return (i32.const 0))))
      (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then (return (i32.const 1))))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br $next))
    (unreachable))

  ;; Whether an element other than the first is not null. The module itself sets the first one.
  (func $occupied (result i32)
    (local $at i32)
    (local.set $at (i32.const 1))
    (loop $next
      (if (i32.eqz (ref.is_null (table.get $table (local.get $at)))) (then (return (i32.const 1))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $at) (table.size $table))))
    (i32.const 0))

  (func $end (result i32) (i32.mul (memory.size) (i32.const 65536)))

  ;; Writes that the mark $number was found, or was not.
  (func $tell (param $number i32) (param $found i32)
    (i32.store8 (i32.add (i32.const 3072) (local.get $number)) (i32.add (i32.const 48) (local.get $found))))

  ;; Writes $digits hexadecimal digits of $value at $at, and a space before them.
  (func $hex (param $at i32) (param $value i64) (param $digits i32)
    (local $digit i32)
    (i32.store8 (i32.sub (local.get $at) (i32.const 1)) (i32.const 32))
    (loop $next
      (local.set $digits (i32.sub (local.get $digits) (i32.const 1)))
      (local.set $digit (i32.wrap_i64 (i64.and (local.get $value) (i64.const 15))))
      (i32.store8 (i32.add (local.get $at) (local.get $digits))
        (i32.add (local.get $digit)
          (select (i32.const 48) (i32.const 87) (i32.lt_u (local.get $digit) (i32.const 10)))))
      (local.set $value (i64.shr_u (local.get $value) (i64.const 4)))
      (br_if $next (local.get $digits))))

  ;; Looks for marks, leaves new ones, and returns the length of the answer.
  (func $visit (result i32)
    (local $visited i32) (local $random i64)
    (local.set $visited (i32.load (i32.const 2048)))
    (call $tell (i32.const 0) (i32.ne (local.get $visited) (i32.const 0)))
    (call $tell (i32.const 1) (i64.ne (i64.load (i32.const 4096)) (i64.const 0x656e697473697270)))
    (call $tell (i32.const 2) (call $dirty (i32.const 8192) (i32.const 131072)))
    (call $tell (i32.const 3) (i32.ne (memory.size) (i32.const 2)))
    (if (i32.eq (memory.size) (i32.const 2)) (then
      ;; 4 MiB: more than what the host's pool clears by hand.
      (if (i32.eq (memory.grow (i32.const 64)) (i32.const -1)) (then unreachable))))
    (call $tell (i32.const 4) (call $dirty (i32.const 131072) (call $end)))
    (call $tell (i32.const 5) (i64.ne (global.get $mark) (i64.const 7)))
    (call $tell (i32.const 6) (call $occupied))
    (call $tell (i32.const 7) (i32.ne (table.size $table) (i32.const 10000)))
    (if (i32.eq (table.size $table) (i32.const 10000)) (then
      (drop (table.grow $table (ref.null func) (i32.const 1000)))))
    (if (i32.eqz (local.get $visited)) (then
      (memory.init $segment (i32.const 1024) (i32.const 0) (i32.const 7))
      (data.drop $segment)
      (table.init $table $elements (i32.const 1) (i32.const 0) (i32.const 1))
      (elem.drop $elements)))

    (call $hex (i32.const 3081) (i64.extend_i32_u (call $fields)) (i32.const 8))
    (call $hex (i32.const 3090) (i64.load (i32.const 2056)) (i32.const 16))
    (local.set $random (call $random))
    (call $hex (i32.const 3107) (local.get $random) (i32.const 16))

    (i32.store (i32.const 2048) (i32.const 1))
    (i64.store (i32.const 2056) (local.get $random))
    (memory.fill (i32.const 4096) (i32.const 0xa5) (i32.const 8))
    (memory.fill (i32.const 8192) (i32.const 0xa5) (i32.sub (call $end) (i32.const 8192)))
    (global.set $mark (local.get $random))
    (table.fill $table (i32.const 1) (ref.func $nothing) (i32.sub (table.size $table) (i32.const 1)))
    (i32.const 51))

  ;; Leaves its marks and traps.
  (func $fall (drop (call $visit)) (unreachable))

  ;; Uses a handle by its number, which traps if there is none.
  (func $has (param $handle i32) (result i32) (call $fields-has (local.get $handle) (i32.const 3584) (i32.const 7)))

  ;; Does what the path at $at asks for (/visit, /trap, /has/NUMBER), and returns the length of the answer.
  (func $obey (param $at i32) (param $length i32) (result i32)
    (local $end i32) (local $number i32)
    (if (i32.eq (i32.load8_u offset=1 (local.get $at)) (i32.const 116)) (then (call $fall)))
    (if (i32.ne (i32.load8_u offset=1 (local.get $at)) (i32.const 104)) (then (return (call $visit))))
    (local.set $end (i32.add (local.get $at) (local.get $length)))
    (local.set $at (i32.add (local.get $at) (i32.const 5)))
    (loop $next
      (local.set $number (i32.add
        (i32.mul (local.get $number) (i32.const 10))
        (i32.sub (i32.load8_u (local.get $at)) (i32.const 48))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $at) (local.get $end))))
    (i32.store8 (i32.const 3072) (i32.add (i32.const 48) (call $has (local.get $number))))
    (i32.const 1))

  ;; Response headers that hold the answer, which is $length long.
  (func $headers (param $length i32) (result i32)
    (local $fields i32)
    (local.set $fields (call $fields))
    (call $append
      (local.get $fields) (i32.const 3584) (i32.const 7) (i32.const 3072) (local.get $length) (i32.const 1024))
    (local.get $fields))
  (@exports)
)
