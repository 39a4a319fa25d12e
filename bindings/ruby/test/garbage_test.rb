# frozen_string_literal: true

require_relative 'helper'
require 'set'

# What an engine that is broken may send costs an error, never memory or a hang.
class GarbageTest < Minitest::Test
  ROUNDS = 20_000

  def mutated(whole, seed)
    random = Random.new(seed)
    ROUNDS.times do
      body = whole.dup
      random.rand(1..3).times { body.setbyte(random.rand(body.bytesize), [0, 1, 255, random.rand(256)].sample(random: random)) }
      body = body.byteslice(0, random.rand(body.bytesize)) if random.rand(3).zero?
      yield body
    end
  end

  def test_deliver
    row = [4, 12, 3, 2, 5, 1, 1, 7, 1_700_000_000_000].pack(Vegas::Chunk::ROW)
    header = [1, 1, 3].pack('vvV') + 'aval'.b
    body = [1, 2, 3, 4, 0, 2, 4].pack('VVVVCVV') + 'text'.b + (row * 2) + "key4212345#{header}data".b * 2
    chunk = Vegas::Chunk.new(nil, body)
    assert_equal([%w[key 42 12345 data]] * 2, chunk.records.map { |r| [r.partition_key, r.explicit_hash_key, r.sequence, r.data] })
    assert_equal 'val', chunk.records.last.headers['a']
    mutated(body, 1) do |broken|
      Vegas::Chunk.new(nil, broken).records.each { |r| assert_operator r.data.bytesize, :<=, broken.bytesize }
    rescue StandardError
      next
    end
  end

  def test_report
    failure = Vegas::Value.encode({ code: 'throttled', text: 'slow' })
    body = [1, 2].pack('VV') + [0, 5, 2].pack('CxvV') + "id\x0012".b + [0, 1, 1, 2].pack('q<*') +
           [2, failure.bytesize, 1].pack('CxvV') + failure + [2, 0].pack('q<*')
    mutated(body, 2) do |broken|
      p = Vegas::Producer.allocate
      batch = Vegas::Batch.new(p)
      3.times { batch.add('k', '', '', 'd', nil) }
      batch.seal(7)
      batch.first = 0
      { lock: Mutex.new, changed: ConditionVariable.new, open: [batch], open_cost: 27, pending: [], failures: Set.new }
        .each { |name, value| p.instance_variable_set("@#{name}", value) }
      begin
        p.reported(broken)
      rescue StandardError
        next
      end
    end
  end

  # Engines that greet as one does, and then say something else.
  def test_an_engine_that_talks_nonsense
    Dir.mktmpdir do |dir|
      hello = Vegas::Value.encode({ protocol: 1, version: '0', pid: 1, capabilities: [], extensions: [] })
      ["\x00" * 9, "\xFF" * 9, [3, 3].pack('VC') + "\x09\x09".b, [2, 17].pack('VC') + 'x'.b].each_with_index do |nonsense, i|
        says = File.join(dir, "says#{i}")
        File.binwrite(says, [hello.bytesize + 1, 1].pack('VC') + hello + nonsense)
        engine = File.join(dir, "engine#{i}")
        File.write(engine, "#!/bin/sh\ncat #{says}\ncat >/dev/null\n", perm: 0o755)
        with_log = Vegas::Session.new(engine, listener = Listener.new)
        Timeout.timeout(Helper::PATIENCE) { listener.over.pop }
        assert_raises(Vegas::VegasError) { with_log.call('flush', {}) }
      ensure
        with_log&.close(5)
      end
    end
  end

  # Says when it is over.
  class Listener
    attr_reader :over

    def initialize
      @over = Queue.new
    end

    def lost(*)
      @over << true
    end

    def reported(_body)
      raise Vegas::Value::Malformed, 'report: cut off'
    end
  end
end
