# frozen_string_literal: true

require_relative 'helper'

class ProducerTest < Minitest::Test
  include Helper

  def test_a_record_gets_a_receipt
    delivery = producer.send('key', 'data', headers: { 'id' => '7' })
    receipt = delivery.value(PATIENCE)
    assert_equal 'shardId-000000000000', receipt.shard
    assert_match(/\A\d+\z/, receipt.sequence)
    refute receipt.durable?
    assert delivery.done?
    assert_nil delivery.error
  end

  def test_the_names_of_send
    p = producer
    assert_equal p, p.__send__(:itself)
    assert p.produce('key', 'data').value(PATIENCE)
    assert p.public_send(:send, 'key', 'data').value(PATIENCE)
  end

  def test_a_block_is_called_with_the_result
    results = Queue.new
    producer.send('key', 'data') { |receipt, error| results << [receipt, error, Thread.current] }
    (receipt, error, thread), = take(results, 1)
    assert receipt.shard
    assert_nil error
    refute_equal Thread.current, thread
  end

  def test_many_records_in_order
    local({ 'orders' => 4 })
    p = producer
    deliveries = Array.new(20_000) { |i| p.send("key-#{i % 50}", i.to_s) }
    assert_equal 0, p.flush(PATIENCE)
    receipts = deliveries.map(&:value)
    receipts.each_index.group_by { |i| i % 50 }.each_value do |indexes|
      places = indexes.map { |i| [receipts[i].sequence.to_i, receipts[i].sub_sequence] }
      assert_equal places.sort, places
    end
    assert_equal 20_000, p.stats['records_sent']
  end

  def test_small_window_with_threads
    p = producer(buffer_bytes: 4096)
    threads = Array.new(4) { |t| Thread.new { Array.new(200) { |i| p.send("key-#{t}", "#{i}" * 30) } } }
    deliveries = threads.flat_map(&:value)
    assert deliveries.all? { |d| d.value(PATIENCE) }
  end

  def test_a_record_above_the_window_goes_alone
    p = producer(buffer_bytes: 4096)
    all = [p.send('key', 'a' * 100), p.send('key', 'b' * 100_000), p.send('key', 'c' * 100)]
    assert all.all? { |d| d.value(PATIENCE) }
  end

  def test_empty_large_and_strange_records
    local({ 'orders' => 1 }, record_bytes: 10 << 20, no_limits: true)
    p = producer
    [['k', ''], ["\u{1F600}" * 256, "\x00\xFF"], ['k', 'x' * (1 << 20)], ['k', 'y' * ((10 << 20) - 1)]].each do |key, data|
      assert p.send(key, data).value(PATIENCE)
    end
  end

  def test_bad_records_are_refused
    p = producer
    {
      ['', 'x'] => /0 characters/, ['k' * 257, 'x'] => /257 characters/, ["\xFF", 'x'] => /not UTF-8/, ["\xFF".b, 'x'] => /not text/,
      [7, 'x'] => /Integer/, ['k', 7] => /Integer/, ['k', nil] => /NilClass/
    }.each do |(key, data), text|
      error = assert_raises(Vegas::BadOptionError) { p.send(key, data) }
      assert_match text, error.message
    end
    assert_raises(Vegas::BadOptionError) { p.send('k', 'x', headers: { 'id' => 7 }) }
    assert_raises(Vegas::BadOptionError) { p.send('k', 'x', explicit_hash_key: '9' * 40) }
  end

  def test_data_may_be_changed_behind_send
    p = producer
    data = +'first'
    delivery = p.send('key', data)
    data.replace('other')
    assert delivery.value(PATIENCE)
    seen = Queue.new
    consumer { |r| seen << r.data }
    assert_equal ['first'], take(seen, 1)
  end

  def test_bad_options
    local
    { lingr: /did you mean linger\?/, nonsense: /no option nonsense/ }.each do |name, text|
      error = assert_raises(Vegas::BadOptionError) { producer(**{ name => 1 }) }
      assert_match text, error.message
    end
    { linger: -1, aggregate: 'yes', max_requests: 1.5, on_failure: :maybe, on_stats: 3, region: 4 }.each do |name, value|
      error = assert_raises(Vegas::BadOptionError) { producer(**{ name => value }) }
      assert_match(/option #{name} is/, error.message)
    end
    assert_raises(Vegas::BadOptionError) { producer('not a stream') }
    assert producer(on_failure: :fail_key, linger: 0.001, deadline: 60).send('k', 'd').value(PATIENCE)
  end

  def test_a_failure_is_raised_where_it_is_looked_at
    local
    p = producer('absent', deadline: 0.5)
    delivery = p.send('key', 'data')
    error = assert_raises(Vegas::VegasError) { delivery.value(PATIENCE) }
    assert_includes %w[not_found deadline], error.code
    refute error.unknown?
    assert_equal 0, p.flush # somebody has looked
  end

  def test_a_failure_that_nobody_looked_at_is_raised_by_flush_and_by_close
    local
    p = Vegas::Producer.new('absent', deadline: 0.2, **local.options)
    p.send('key', 'data')
    assert_raises(Vegas::VegasError) { p.flush(PATIENCE) }
    assert_equal 0, p.flush(PATIENCE)
    p.send('key', 'data')
    assert_raises(Vegas::VegasError) { p.close }
    assert_match(/records failed/, LOG.string)
    assert_raises(Vegas::ClosedError) { p.send('key', 'data') }
    assert_equal 0, p.close
  end

  def test_a_failure_that_nobody_looks_at_is_logged_although_nothing_follows
    _, err, = program(<<~RUBY, local.endpoint)
      Vegas::Failures.module_eval { remove_const(:LOOK) && const_set(:LOOK, 0.1) }
      producer = Vegas::Producer.new('absent', endpoint: ARGV[0], deadline: 0.2)
      looked = producer.send('key', 'data')
      producer.send('key', 'data')
      looked.error if looked.wait
      sleep 1
      exit!
    RUBY
    assert_match(/absent: 1 records failed and nobody looked at it/, err)
    assert_equal 1, err.scan(/nobody looked/).size
  end

  def test_flush_says_that_its_time_is_over
    p = Vegas::Producer.new('orders', endpoint: 'http://127.0.0.1:9', close_timeout: 0)
    delivery = p.send('key', 'data')
    error = assert_raises(Vegas::TimeoutError) { p.flush(0.1) }
    assert_match(/1 records have no result/, error.text)
    assert_raises(Vegas::VegasError) { p.close }
    assert delivery.done?
  end

  def test_check
    assert_nil producer.check
    error = assert_raises(Vegas::NotFoundError) { producer('absent').check }
    assert_match(/absent/, error.text)
    assert error.remedy
  end

  def test_open_closes_behind_a_block
    kept = nil
    delivery = Vegas::Producer.open('orders', **local.options) { |p| (kept = p).send('key', 'data') }
    assert kept.closed?
    assert delivery.done?
  end

  def test_stats_come_by_themselves
    seen = Queue.new
    producer(on_stats: ->(stats) { seen << stats }, stats_every: 0.1).send('k', 'd')
    assert take(seen, 2).last.key?('records_sent')
  end

  def test_durable_records_say_so
    Dir.mktmpdir do |dir|
      p = producer(durable: File.join(dir, 'buffer'))
      assert p.send('key', 'data').value(PATIENCE).durable?
      assert_equal 0, p.flush(PATIENCE)
      p.close
    end
  end

  def test_an_interrupted_send_leaves_the_producer_whole
    p = producer(buffer_bytes: 8192)
    sent = 0
    50.times do
      Timeout.timeout(0.002) do
        loop do
          p.send('key', 'x' * 500)
          sent += 1
        end
      end
    rescue Timeout::Error
      next
    end
    assert_equal 0, p.flush(PATIENCE)
    assert_operator p.stats['records_sent'], :>=, sent
  end
end
