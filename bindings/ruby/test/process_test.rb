# frozen_string_literal: true

require_relative 'helper'

# Ends, forks, and engines that are none.
class ProcessTest < Minitest::Test
  include Helper

  def test_a_program_that_just_ends_has_sent_all
    out, err, status = program(<<~RUBY, local.endpoint)
      producer = Vegas::Producer.new('orders', endpoint: ARGV[0], linger: 1)
      1000.times { |i| producer.send("key-\#{i}", 'data') }
    RUBY
    assert status.success?, err
    assert_empty out + err
    seen = Queue.new
    consumer { |r| seen << r.partition_key }
    assert_equal 1000, take(seen, 1000).uniq.size
  end

  def test_a_program_says_what_is_left_at_its_end
    _, err, status = program(<<~RUBY)
      producer = Vegas::Producer.new('orders', endpoint: 'http://127.0.0.1:9', close_timeout: 0.3)
      3.times { producer.send('key', 'data') }
    RUBY
    assert status.success?, err
    assert_match(/3 records/, err)
  end

  def test_a_forked_child_has_an_engine_of_its_own
    p = producer
    p.send('parent', 'before').value(PATIENCE)
    open = p.send('parent', 'open')
    out, into = IO.pipe
    child = fork do
      results = [p.send('child', 'data').value(PATIENCE).shard, open.wait(0) && (open.error || open.receipt).class]
      into.write(Marshal.dump(results))
      into.close
      p.close
      exit!(0)
    end
    into.close
    shard, = Marshal.load(out.read)
    Process.wait(child)
    assert_equal 'shardId-000000000000', shard
    assert open.value(PATIENCE)
    assert p.send('parent', 'after').value(PATIENCE)
  end

  def test_prefork
    p = producer
    children = Array.new(3) { |n| fork { exit!(p.send("child-#{n}", 'data').value(PATIENCE) && p.close.zero? ? 0 : 1) } }
    assert(children.all? { |pid| Process.wait2(pid).last.success? })
    assert p.send('parent', 'data').value(PATIENCE)
  end

  def test_a_daemon
    Dir.mktmpdir do |dir|
      file = File.join(dir, 'result')
      program(<<~RUBY, local.endpoint, file)
        producer = Vegas::Producer.new('orders', endpoint: ARGV[0])
        producer.send('key', 'data').value
        Process.daemon
        File.write("\#{ARGV[1]}.new", producer.send('key', 'data').value.shard)
        File.rename("\#{ARGV[1]}.new", ARGV[1])
      RUBY
      Timeout.timeout(PATIENCE) { sleep 0.01 until File.exist?(file) }
      assert_equal 'shardId-000000000000', File.read(file)
    end
  end

  def test_a_child_does_not_use_its_parents_consumer
    c = consumer { nil }
    loop = consumer('other')
    child = fork do
      c.close
      [c.method(:stats), c.method(:wait), c.method(:run), c.method(:join), loop.method(:each)].each do |method|
        Timeout.timeout(2) { method.call { nil } }
        exit!(1)
      rescue Vegas::ClosedError
        next
      end
      exit!(0)
    end
    assert Process.wait2(child).last.success?
    assert_kind_of Hash, c.stats
  end

  # A child that holds the pipes of its parent's engine would keep that alive.
  def test_an_engine_ends_with_its_program_while_a_child_lives_on
    out, err, = program(<<~RUBY, local.endpoint)
      producer = Vegas::Producer.new('orders', endpoint: ARGV[0])
      producer.send('key', 'data').value
      child = fork { $stdout.reopen(File::NULL); $stderr.reopen(File::NULL); sleep 30 }
      puts child, Vegas::Engine.current.session.instance_variable_get(:@process).pid
      Process.detach(child)
    RUBY
    child, engine = out.split.map(&:to_i)
    refute alive?(engine), err
    assert alive?(child)
  ensure
    Process.kill(:KILL, child) if child
  end

  def test_records_of_an_engine_that_is_killed_are_unknown
    out, err, status = program(<<~RUBY)
      Vegas.logger = Logger.new(nil)
      Vegas::Testing::LocalKinesis.open(streams: ['orders'])
      producer = Vegas::Producer.new('orders', endpoint: 'http://127.0.0.1:9')
      open = producer.send('key', 'data')
      sleep 0.05 until producer.instance_variable_get(:@open).any?
      Process.kill(:KILL, Vegas::Engine.current.session.instance_variable_get(:@process).pid)
      open.wait
      puts open.error.class, open.error.unknown?
      local = Vegas::Testing::LocalKinesis.open(streams: ['orders'])
      puts producer.send('key', 'later').class
      other = Vegas::Producer.new('orders', **local.options)
      puts other.send('key', 'data').value.shard
      producer.close(0) rescue puts $!.class
    RUBY
    assert status.success?, err
    assert_equal %w[Vegas::EngineGoneError true Vegas::Delivery shardId-000000000000], out.split.first(4), err
  end

  def test_five_deaths_are_enough
    out, err, status = program(<<~RUBY)
      Vegas.logger = Logger.new(nil)
      producer = Vegas::Producer.new('orders', endpoint: 'http://127.0.0.1:9')
      begin
        loop do
          Process.kill(:KILL, Vegas::Engine.current.session.instance_variable_get(:@process).pid)
          sleep 0.05
        end
      rescue Vegas::EngineGoneError => e
        puts e.message
      end
      producer.send('key', 'data') rescue puts $!.class
    RUBY
    assert status.success?, err
    assert_match(/not started again/, out)
    assert_match(/EngineGoneError/, out)
  end

  def test_engines_that_are_none
    Dir.mktmpdir do |dir|
      file = File.join(dir, 'engine')
      {
        nil => [0o755, /is not there/], "\x7FELF garbage" => [0o755, /no engine|cannot be started/],
        "#!/bin/sh\necho usage: frobnicate\n" => [0o755, /no engine/], "#!/bin/sh\nexit 3\n" => [0o755, /no engine/],
        "#!/bin/sh\nexit\n" => [0o644, /chmod/]
      }.each do |content, (mode, text)|
        content ? File.binwrite(file, content) : nil
        File.chmod(mode, file) if content
        out, err, = program("Vegas::Producer.new('orders', engine: ARGV[0]) rescue puts $!.class, $!.message", file)
        assert_match(/EngineMissingError/, out, err)
        assert_match text, out
      end
    end
  end

  # The sample runs as it stands, also in docs/languages.md; its environment says where.
  def test_the_sample
    sample = File.expand_path('../examples/sample.rb', __dir__)
    local({ 'stream-name' => 2 })
    io = IO.popen([local.environment, RbConfig.ruby, '-w', "-I#{File.expand_path('../lib', __dir__)}",
                     '-e', '$stdout.sync = true; load ARGV[0]', sample], err: %i[child out])
    Timeout.timeout(PATIENCE) do
      assert_equal ["Consumer is running. Press ctrl+c to stop\n", "partition-key:message\n"], [io.gets, io.gets].sort
      Process.kill(:INT, io.pid)
      rest = io.read
      assert_match(/Interrupt/, rest)
    end
  end

  def test_one_engine_serves_a_program
    local
    error = assert_raises(Vegas::BadOptionError) { producer(engine: '/nowhere') }
    assert_match(/one engine/, error.message)
  end

  private

  def alive?(pid)
    !File.read("/proc/#{pid}/stat").split[2].eql?('Z')
  rescue Errno::ENOENT
    false
  end
end
