# frozen_string_literal: true

require_relative 'helper'

# What becomes of records, consumers and calls while engines die.
class RestartTest < Minitest::Test
  include Helper

  # Runs a program with an engine that does as its script says: see FakeEngine. Gives
  # what the program printed, and the notes.
  def with_engine(script, source)
    Dir.mktmpdir do |dir|
      engine = File.join(dir, 'engine')
      fake = File.expand_path('fake_engine', __dir__)
      File.write(engine, <<~RUBY, perm: 0o755)
        #!#{RbConfig.ruby}
        $LOAD_PATH.unshift(#{File.expand_path('../lib', __dir__).inspect})
        require #{fake.inspect}
        include Notes, FakeEngine
        run do |what, call|
        #{script}
        end
      RUBY
      out, err, status = program(<<~RUBY, engine, fake)
        ENV['VEGAS_ENGINE'] = ARGV[0]
        require ARGV[1]
        include Notes
        Vegas.logger = Logger.new(nil)
        # The first engine ends.
        def die(member)
          note('die')
          sleep 0.01 while member.instance_variable_get(:@session)
        end
        #{source}
      RUBY
      assert status.success?, err
      notes = File.join(dir, 'notes')
      return out.split("\n"), File.exist?(notes) ? File.readlines(notes, chomp: true).grep(/ \d/) : []
    end
  end

  # The first one dies when it is told to, and the second one opens nothing before it is
  # told to go on.
  SLOW_SECOND = <<~RUBY
    case what
    when 'open_producer', 'open_consumer'
      note("\#{what} \#{START}")
      noted('go') if START == 2
      answer(call)
      Thread.new { noted('die'); exit! } if START == 1
    when Vegas::Spec::KIND_SEND then stored(call)
    when String
      note("\#{what} \#{START}")
      answer(call, left: 0)
    end
  RUBY

  def test_close_waits_for_the_next_engine
    out, = with_engine(SLOW_SECOND, <<~RUBY)
      producer = Vegas::Producer.new('orders')
      die(producer)
      delivery = producer.send('key', 'data')
      Thread.new { noted('open_producer 2'); sleep 0.1; note('go') }
      puts producer.close(15), delivery.value(0).shard
    RUBY
    assert_equal %w[0 shard], out
  end

  def test_close_gives_back_what_no_engine_took_in_time
    out, notes = with_engine(SLOW_SECOND, <<~RUBY)
      producer = Vegas::Producer.new('orders')
      die(producer)
      delivery = producer.send('key', 'data')
      noted('open_producer 2')
      begin
        producer.close(0.1)
      rescue Vegas::ClosedError => e
        puts e.class, delivery.error.equal?(e)
      end
      note('go')
      noted('close_producer 2')
    RUBY
    assert_equal %w[Vegas::ClosedError true], out
    assert_equal ['open_producer 1', 'open_producer 2', 'close_producer 2'], notes
  end

  def test_calls_while_an_engine_starts
    out, = with_engine(SLOW_SECOND, <<~RUBY)
      producer = Vegas::Producer.new('orders')
      consumer = Vegas::Consumer.new('orders', 'billing') { nil }
      die(producer)
      puts producer.flush
      note('go')
      puts producer.check.inspect, consumer.check.inspect, producer.close
    RUBY
    assert_equal %w[0 nil nil 0], out
  end

  def test_close_of_what_no_engine_has
    out, notes = with_engine(SLOW_SECOND, <<~RUBY)
      producer = Vegas::Producer.new('orders')
      consumer = Vegas::Consumer.new('orders', 'billing') { nil }
      local = Vegas::Testing::LocalKinesis.new
      die(producer)
      puts producer.close, consumer.close.inspect, consumer.wait(0), local.close.inspect
    RUBY
    assert_equal %w[0 nil true nil], out
    assert_equal ['open_producer 1', 'open_consumer 1', 'start_local 1'], notes
  end

  def test_a_consumer_that_is_closed_while_an_engine_opens_it
    out, notes = with_engine(SLOW_SECOND, <<~RUBY)
      consumer = Vegas::Consumer.new('orders', 'billing') { nil }
      die(consumer)
      noted('open_consumer 2')
      consumer.close
      puts consumer.wait(1)
      note('go')
      noted('close_consumer 2')
    RUBY
    assert_equal ['true'], out
    assert_equal ['open_consumer 1', 'open_consumer 2', 'close_consumer 2'], notes
  end

  def test_a_consumer_is_opened_once_in_each_session
    _, notes = with_engine(<<~RUBY, <<~PROGRAM)
      next unless what == 'open_consumer'

      note("\#{what} \#{START}")
      exit! if START == 2
      answer(call)
      Thread.new { sleep 0.1; exit! } if START < 4
    RUBY
      consumer = Vegas::Consumer.new('orders', 'billing') { nil }
      noted('open_consumer 4')
      sleep 0.2
      exit!(0)
    PROGRAM
    assert_equal (1..4).map { |start| "open_consumer #{start}" }, notes
  end

  def test_an_engine_that_fails_is_followed_by_another
    out, = with_engine(<<~RUBY, <<~PROGRAM)
      if START == 1
        value(Vegas::Spec::KIND_FAIL, { error: { code: 'overrun', text: 'it sent too much' } })
        exit!
      end
      answer(call, left: 0, window_bytes: 1000, record_cost: 10) if what.is_a?(String)
    RUBY
      require 'stringio'
      log = StringIO.new
      Vegas.logger = Logger.new(log)
      producer = Vegas::Producer.new('orders')
      puts log.string[/it sent too much/], producer.close
    PROGRAM
    assert_equal ['it sent too much', '0'], out
  end

  def test_with_fail_key_nothing_follows_what_is_unknown
    script = <<~RUBY
      case what
      when 'open_producer' then answer(call, window_bytes: 20, record_cost: 10)
      when Vegas::Spec::KIND_SEND
        next stored(call) if START > 1

        note('first 1')
        Thread.new { noted('die'); exit! }
      when String then answer(call, left: 0)
      end
    RUBY
    source = <<~RUBY
      producer = Vegas::Producer.new('orders', %s)
      first = producer.send('key', 'data')
      noted('first 1')
      producer.instance_variable_set(:@window, 1000) # or send would wait
      second = producer.send('key', 'data')
      producer.instance_variable_set(:@window, 20)
      die(producer)
      [first, second].each { |d| d.wait(5); puts d.error.class }
    RUBY
    assert_equal %w[Vegas::EngineGoneError Vegas::EarlierFailedError], with_engine(script, format(source, 'on_failure: :fail_key')).first
    assert_equal %w[Vegas::EngineGoneError NilClass], with_engine(script, format(source, 'linger: 0')).first
  end

  def test_handlers_of_a_shard_never_run_side_by_side
    out, = with_engine(<<~RUBY, <<~PROGRAM)
      case what
      when 'open_consumer'
        answer(call)
        start_shard(call['consumer'], 1, 'shard-1')
        $consumer = call['consumer']
      when Vegas::Spec::KIND_ANSWER
        deliver($consumer, 1, START.to_s)
        Thread.new { sleep 0.2; exit! } if START == 1
      end
    RUBY
      $stdout.sync = true
      over = Queue.new
      Vegas::Consumer.new('orders', 'billing') do |r|
        puts "begins \#{r.data}"
        sleep 1
        puts "ends \#{r.data} \#{r.stopping.inspect} \#{r.cancelled?}"
        over << true if r.data == '2'
      end
      over.pop
      exit!(0)
    PROGRAM
    assert_equal ['begins 1', 'ends 1 :engine_gone true', 'begins 2', 'ends 2 nil false'], out
  end

  def test_wait_raises_what_ended_the_consumer_unasked
    script = <<~RUBY
      case what
      when 'open_consumer' then answer(call)
      when 'close_consumer'
        value(Vegas::Spec::KIND_EVENT, { event: 'consumer_ended', consumer: call['consumer'], error: { code: '%s', text: 'so it is' } })
        answer(call)
      end
    RUBY
    source = <<~RUBY
      consumer = Vegas::Consumer.new('orders', 'billing') { nil }
      consumer.close
      puts consumer.wait rescue puts $!.class
    RUBY
    assert_equal ['true'], with_engine(format(script, 'unreachable'), source).first
    assert_equal ['Vegas::GraceOverError'], with_engine(format(script, 'grace_over'), source).first
  end
end
