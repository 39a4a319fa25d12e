# frozen_string_literal: true

require_relative 'helper'
require 'set'

class ConsumerTest < Minitest::Test
  include Helper

  def test_a_record_arrives_whole
    producer.send('schlüssel', "\x00\xFF".b, headers: [%w[a 1], ['b', "\xFF".b], %w[a 2]], explicit_hash_key: '42')
    seen = Queue.new
    consumer { |r| seen << r }
    r, = take(seen, 1)
    assert_equal 'schlüssel', r.partition_key
    assert_equal Encoding::UTF_8, r.partition_key.encoding
    assert_equal "\x00\xFF".b, r.data
    assert_equal '42', r.explicit_hash_key
    assert_equal [%w[a 1], ['b', "\xFF".b], %w[a 2]], r.headers.to_a
    assert_equal ['1', '2'], r.headers.values('a')
    assert_equal '1', r.headers['a']
    assert_equal ['orders', 'shardId-000000000000', 0, 1], [r.stream, r.shard, r.sub_sequence, r.attempt]
    assert_match(/\A\d+\z/, r.sequence)
    assert_in_delta Time.now, r.arrival_time, 30
    assert r.aggregated?
    refute r.cancelled?
    assert_nil r.stopping
    assert_operator r.possession, :>=, 1
  end

  def test_a_record_without_extras
    producer(aggregate: false).send('key', 'data')
    seen = Queue.new
    consumer { |r| seen << r }
    r, = take(seen, 1)
    assert_nil r.explicit_hash_key
    assert_empty r.headers
    assert_equal Encoding::BINARY, r.data.encoding
    refute r.aggregated?
  end

  def test_order_by_key
    local({ 'orders' => 4 })
    p = producer
    5_000.times { |i| p.send("key-#{i % 20}", i.to_s) }
    seen = Queue.new
    consumer { |r| seen << [r.partition_key, r.data.to_i] }
    take(seen, 5_000).group_by(&:first).each_value { |all| assert_equal all.sort_by(&:last), all }
  end

  def test_parallel_keeps_the_order_of_keys
    p = producer
    1_000.times { |i| p.send("key-#{i % 10}", i.to_s) }
    seen = Queue.new
    threads = Set.new
    gate = Mutex.new
    consumer(parallel: 4) do |r|
      gate.synchronize { threads << Thread.current }
      Thread.pass
      seen << [r.partition_key, r.data.to_i]
    end
    take(seen, 1_000).group_by(&:first).each_value { |all| assert_equal all.sort_by(&:last), all }
    assert_operator threads.size, :>, 1
  end

  def test_a_slow_shard_holds_up_no_other
    local({ 'orders' => 2 })
    p = producer
    first = p.send('a', 'first', explicit_hash_key: '0').value(PATIENCE).shard
    100.times { |i| p.send('b', i.to_s, explicit_hash_key: (2**128 - 1).to_s) }
    seen = Queue.new
    release = Queue.new
    consumer { |r| r.shard == first ? release.pop : seen << r }
    assert_equal 100, take(seen, 100).size
    release << true
  end

  def test_a_handler_that_raises_is_called_again
    producer.send('key', 'data')
    seen = Queue.new
    consumer do |r|
      seen << r.attempt
      raise 'not yet' if r.attempt < 3
    end
    assert_equal [1, 2, 3], take(seen, 3)
    assert_match(/not yet/, LOG.string)
  end

  def test_what_keeps_failing_is_skipped
    p = producer
    3.times { |i| p.send('key', i.to_s) }
    seen = Queue.new
    consumer(on_error: :skip, max_attempts: 2) do |r|
      raise NotImplementedError, 'never' if r.data == '1'

      seen << r.data
    end
    assert_equal %w[0 2], take(seen, 2)
  end

  def test_what_keeps_failing_ends_the_consumer
    producer.send('key', 'data')
    c = consumer(on_error: :stop, max_attempts: 1) { raise ArgumentError, 'bad data' }
    error = assert_raises(Vegas::HandlerError) { c.wait(PATIENCE) }
    assert_match(/bad data/, error.message)
    assert_match(/consumer_test\.rb/, error.message)
  end

  def test_a_handler_that_never_returns_is_told_of_where_the_program_waits
    producer.send('key', 'data')
    began = Queue.new
    release = Queue.new
    c = consumer(grace: 0.1) do
      began << true
      release.pop
    end
    take(began, 1)
    c.close
    error = assert_raises(Vegas::GraceOverError) { c.wait(PATIENCE) }
    assert_match(/shardId-000000000000 \(unfinished records: 1\)/, error.text)
    assert_match(/grace-over/, error.remedy)
  ensure
    release << true
  end

  def test_failures_of_many_records_fit_into_one_frame
    frames = Queue.new
    session = Object.new
    session.define_singleton_method(:write) { |_, body| frames << body }
    session.define_singleton_method(:answer) { |*| nil }
    consumer = Object.new
    { start_of: nil, left: nil, batch?: false, parallel: 2 }.each { |name, value| consumer.define_singleton_method(name) { |*| value } }
    consumer.define_singleton_method(:handle) { |_| raise 'x' * 20_000 }
    rows = [0, 0, 4, 0, 1, 0, 1, 0, 0].pack(Vegas::Chunk::ROW) * 2000
    Vegas::Shard.new(consumer, session, { 'consumer' => 1, 'shard' => 1, 'id' => 's', 'call' => 1 })
                .deliver([1, 1, 0, 0, 0, 2000, 0].pack('VVVVCVV') + rows + Array.new(2000) { |i| "#{i + 1000}7" }.join.b)
    frame, = take(frames, 1)
    assert_equal [0, 2000], frame.unpack('VV', offset: 13)
    assert_operator frame.bytesize, :<, 10 << 20
  end

  def test_dead_letters
    producer.send('key', 'data')
    dead = Queue.new
    c = consumer(max_attempts: 2, dead_letter: ->(r, e) { dead << [r.data, e] }) { raise 'poison' }
    (data, error), = take(dead, 1)
    assert_equal 'data', data
    assert_match(/poison/, error.message)
    c.close
  end

  def test_batches
    p = producer
    50.times { |i| p.send('key', i.to_s) }
    p.flush
    seen = Queue.new
    calls = Queue.new
    consumer(batch: true) do |records|
      calls << records.first.attempt
      raise 'once' if calls.size == 1

      records.each { |r| seen << r.data.to_i }
    end
    assert_equal (0...50).to_a, take(seen, 50)
    assert_equal [1, 2], take(calls, 2)
  end

  def test_a_group_goes_on_where_it_was
    p = producer
    10.times { |i| p.send('key', i.to_s) }
    seen = Queue.new
    first = consumer { |r| seen << r.data.to_i }
    assert_equal (0...10).to_a, take(seen, 10)
    first.close
    assert first.closed?
    assert first.wait
    p.send('key', '10')
    consumer { |r| seen << r.data.to_i }
    assert_equal [10], take(seen, 1)
  end

  def test_manual_checkpoints
    p = producer
    5.times { |i| p.send('key', i.to_s) }
    p.flush
    seen = Queue.new
    holder = []
    first = consumer(checkpoint: :manual) do |r|
      holder[0].checkpoint(r) if r.data == '2'
      seen << r.data.to_i
    end
    holder[0] = first
    take(seen, 5)
    first.close
    consumer(checkpoint: :manual) { |r| seen << r.data.to_i }
    assert_equal [3, 4], take(seen, 2)
  end

  def test_external_positions
    p = producer
    5.times { |i| p.send('key', i.to_s) }
    p.flush
    seen = Queue.new
    consumer { |r| seen << r }
    third = take(seen, 5)[2]
    starts = Queue.new
    external = lambda do |start|
      starts << start
      Vegas::Position.new(third.sequence, third.sub_sequence)
    end
    consumer('elsewhere', external: external) { |r| seen << r.data }
    assert_equal %w[3 4], take(seen, 2)
    start, = take(starts, 1)
    assert_equal third.shard, start.shard
    assert_operator start.possession, :>=, 1
  end

  def test_a_shard_that_external_refuses_starts_anew
    producer.send('key', 'data')
    starts = Queue.new
    external = lambda do |start|
      starts << start
      raise NotImplementedError, 'not yet' if starts.size < 2
    end
    seen = Queue.new
    c = consumer(external: external) { |r| seen << r.data }
    assert_equal ['data'], take(seen, 1)
    assert_equal 1, c.instance_variable_get(:@shards).size
    assert_equal(1, Thread.list.count { |t| t.name == 'vegas shardId-000000000000' })
  end

  def test_each
    p = producer
    20.times { |i| p.send('key', i.to_s) }
    c = consumer
    seen = []
    Timeout.timeout(PATIENCE) { c.each { |r| (seen << r.data.to_i).size == 10 && break } }
    assert_equal (0...10).to_a, seen
    assert c.closed?
    again = consumer
    assert_equal (9...15).to_a, Timeout.timeout(PATIENCE) { again.each.lazy.map { |r| r.data.to_i }.first(6) } # what was left by break comes again
    failed = consumer
    assert_raises(ArgumentError) { Timeout.timeout(PATIENCE) { failed.each { raise ArgumentError } } }
    assert failed.closed?
    assert_raises(Vegas::BadOptionError) { consumer('other') { nil }.each { nil } }
  end

  def test_each_ends_when_the_consumer_is_closed
    c = consumer
    thread = Thread.new { c.each { nil } }
    c.close
    assert thread.join(PATIENCE)
  end

  def test_a_handler_may_close_its_consumer
    producer.send('key', 'data')
    holder = Queue.new
    c = consumer { holder.pop.close }
    holder << c
    assert c.wait(PATIENCE)
  end

  def test_a_trap_may_close_a_consumer
    out, err, status = program(<<~RUBY, local.endpoint)
      consumer = Vegas::Consumer.new('orders', 'g', endpoint: ARGV[0]) { nil }
      trap('TERM') { consumer.close }
      Process.kill(:TERM, Process.pid)
      consumer.run
      puts 'over'
    RUBY
    assert status.success?, err
    assert_equal "over\n", out
    assert_empty err
  end

  def test_a_program_that_ends_waits_for_what_a_trap_closes
    producer.send('key', 'data')
    Dir.mktmpdir do |dir|
      store = "file:#{dir}/positions"
      out, err, = program(<<~RUBY, local.endpoint, store)
        $stdout.sync = true
        consumer = Vegas::Consumer.new('orders', 'g', endpoint: ARGV[0], store: ARGV[1]) do |r|
          Process.kill(:TERM, Process.pid)
          sleep 1
          puts r.data
        end
        trap('TERM') { consumer.close || exit }
        sleep
      RUBY
      assert_equal "data\n", out, err
      producer.send('key', 'next')
      seen = Queue.new
      consumer('g', store: store) { |r| seen << r.data }
      assert_equal ['next'], take(seen, 1)
    end
  end

  def test_two_workers_share_a_group
    local({ 'orders' => 4 })
    seen = Queue.new
    consumers = Array.new(2) { |n| consumer(worker: "worker-#{n}") { |r| seen << [n, r.data.to_i] } }
    p = producer
    counts = nil
    Timeout.timeout(PATIENCE) do
      20.times do |round|
        200.times { |i| p.send("key-#{i}", (round * 200 + i).to_s) }
        got = take(seen, 200)
        assert_equal 200, got.map(&:last).uniq.size
        counts = got.map(&:first).tally
        break if counts.size == 2
      end
    end
    assert_equal 2, consumers.size
  end

  def test_stats_and_check
    seen = Queue.new
    c = consumer(on_stats: ->(s) { seen << s }, stats_every: 0.1) { nil }
    assert_kind_of Hash, take(seen, 1).first
    assert_kind_of Hash, c.stats
    assert_nil c.check
  end

  def test_an_absent_stream_ends_the_consumer
    local
    c = Vegas::Consumer.new('absent', 'billing', **local.options) { nil }
    error = assert_raises(Vegas::VegasError) { c.wait(PATIENCE) }
    assert_equal 'not_found', error.code
    assert_match(/the consumer has ended/, LOG.string)
  ensure
    c&.close
  end

  def test_bad_options
    local
    assert_match(/did you mean parallel/, assert_raises(Vegas::BadOptionError) { consumer(paralel: 2) { nil } }.message)
    { parallel: 0, on_error: :explode, start: 'yesterday', dead_letter: 1, store: 'nowhere:' }.each do |name, value|
      assert_raises(Vegas::BadOptionError, name) { consumer(**{ name => value }) { nil } }
    end
    assert_raises(Vegas::BadOptionError) { consumer('b', 3) }
    assert_raises(Vegas::BadOptionError) { consumer('b', -> {}) { nil } }
  end

  def test_start_at_a_time
    p = producer
    p.send('key', 'before').value(PATIENCE)
    seen = Queue.new
    consumer(start: Time.now - 3600) { |r| seen << r.data }
    assert_equal ['before'], take(seen, 1)
  end

  def test_a_killed_engine_is_replaced_and_the_group_goes_on
    out, err, status = program(<<~RUBY, local.endpoint, File.join(Dir.mktmpdir, 'positions'))
      Vegas.logger = Logger.new(nil)
      options = { endpoint: ARGV[0] }
      producer = Vegas::Producer.new('orders', **options)
      seen = Queue.new
      consumer = Vegas::Consumer.new('orders', 'g', store: "file:\#{ARGV[1]}", lease_time: 1, poll_idle: 0.2, poll_busy: 0.2, **options) { |r| seen << r.data }
      producer.send('key', 'one').value
      print seen.pop, ' '
      Process.kill(:KILL, Vegas::Engine.current.session.instance_variable_get(:@process).pid)
      sleep 0.05
      producer.send('key', 'two').value
      data = seen.pop
      data = seen.pop while data == 'one'
      print data
      consumer.close
    RUBY
    assert status.success?, err
    assert_equal 'one two', out
  end

  def test_ctrl_c_gives_the_shards_back
    out = producer.send('key', 'data').value(PATIENCE) && nil
    lib = File.expand_path('../lib', __dir__)
    source = <<~RUBY
      $stdout.sync = true
      Vegas::Consumer.new('orders', 'g', endpoint: ARGV[0], store: ARGV[1], lease_time: 60, poll_idle: 0.2, poll_busy: 0.2) { |r| puts r.data }
      sleep
    RUBY
    Dir.mktmpdir do |dir|
      store = "file:#{dir}/positions"
      out = IO.popen([RbConfig.ruby, "-I#{lib}", '-rvegas', '-e', source, local.endpoint, store], err: File::NULL)
      Timeout.timeout(PATIENCE) do
        assert_equal "data\n", out.gets
        Process.kill(:INT, out.pid)
        out.close
      end
      producer.send('key', 'next')
      seen = Queue.new
      consumer('g', store: store) { |r| seen << r.data }
      assert_equal ['next'], take(seen, 1) # long before the lease's end, and nothing again
    end
  end
end
