# frozen_string_literal: true

require_relative 'helper'

class ValueTest < Minitest::Test
  def test_values_come_back
    [
      nil, true, false, 0, -1, (2**63) - 1, -(2**63), 1.5, '', 'ä€😀', "\x00\xFF".b, [], [1, ['a', nil]], {},
      { 'a' => { 'b' => [1, 2.0, "x".b] }, 'ü' => nil }
    ].each do |value|
      back = Vegas::Value.decode(Vegas::Value.encode(value))
      value.nil? ? assert_nil(back) : assert_equal(value, back)
      assert_equal value.encoding, back.encoding if value.is_a?(String)
    end
  end

  def test_symbols_are_text
    assert_equal({ 'a' => 'b' }, Vegas::Value.decode(Vegas::Value.encode({ a: :b })))
  end

  def test_what_cannot_be_text_is_mended
    assert_equal "a\uFFFD", Vegas::Value.decode(Vegas::Value.encode("a\xFF"))
  end

  # Whatever comes, the answer is a value or Malformed.
  def test_garbage_is_refused
    whole = Vegas::Value.encode({ 'list' => [1, 2.5, 'text', "\xFF".b, nil, true], 'map' => { 'a' => 1 } })
    (0...whole.bytesize).each do |n|
      assert_raises(Vegas::Value::Malformed) { Vegas::Value.decode(whole.byteslice(0, n)) }
    end
    random = Random.new(1)
    5_000.times do
      broken = whole.dup
      broken.setbyte(random.rand(broken.bytesize), random.rand(256)) # rubocop:disable Lint/NumberConversion
      begin
        Vegas::Value.decode(broken)
      rescue Vegas::Value::Malformed
        next
      end
    end
  end

  def test_lengths_are_not_believed
    [[5, 0xFFFFFFFF], [6, 0x7FFFFFFF], [7, 0xFFFFFFFF], [8, 0xFFFFFFFF]].each do |tag, length|
      error = assert_raises(Vegas::Value::Malformed) { Vegas::Value.decode([tag, length].pack('CV')) }
      assert_match(/does not fit/, error.message)
    end
  end

  def test_depth_is_bounded
    deep = ([7, 1].pack('CV') * 16) + [0].pack('C')
    assert_raises(Vegas::Value::Malformed) { Vegas::Value.decode(deep) }
    assert_raises(Vegas::Value::Malformed) { Vegas::Value.decode(([8, 2].pack('CV') + ([0].pack('V') + "\x00".b)) * 2) }
  end
end
