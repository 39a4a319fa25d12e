# frozen_string_literal: true

# Does what scenarios say, with the Ruby gem. See ../README.md.

require 'json'
require 'zlib'
require 'vegas'

# One thing that happens at a time.
class Driver
  FILL = (0...251).to_a.pack('C*').freeze

  def initialize
    @out = Mutex.new
    @things = {}
    @positions = {}
    $stdout.sync = true
  end

  def answer(command)
    result = begin
      public_send("do_#{command['do']}", command)
    rescue Exception => e # rubocop:disable Lint/RescueException -- it is told
      { error: error(e) }
    end
    say({ id: command['id'], **(result.is_a?(Hash) ? result : {}) })
  end

  # Producers.

  def do_producer(cmd)
    @things[cmd['as']] = Vegas::Producer.new(cmd['stream'], **options(cmd['options']))
  end

  def do_send(cmd)
    producer = @things[cmd['to']]
    sent = cmd['records'].map do |r|
      producer.send(r['key'], payload(r), headers: r['headers'], explicit_hash_key: r['hash_key'])
    rescue StandardError => e
      e
    end
    return if cmd['wait'] == false

    { results: sent.map { |s| result(s) } }
  end

  def do_many(cmd)
    producer = @things[cmd['to']]
    keys, size, from, prefix = cmd['keys'] || 1, cmd['size'] || 0, cmd['from'] || 0, cmd['prefix'] || ''
    deliveries = (from...(from + cmd['count'])).map do |n|
      key = "#{prefix}key-#{n % keys}"
      data = "#{prefix}#{n}".ljust(size, '.')
      next producer.send(key, data) unless cmd['tell']

      producer.send(key, data) do |_, e|
        say({ event: 'sent', of: cmd['to'], number: n, **(e ? { error: error(e) } : {}) })
      end
    end
    return if cmd['wait'] == false

    failed = deliveries.each_with_index.filter_map do |d, i|
      d.wait
      e = d.error
      { number: from + i, error: error(e) } if e
    end
    { ok: deliveries.size - failed.size, failed: failed }
  end

  def do_misuse(cmd)
    producer = @things[cmd['to']]
    delivery = case cmd['what']
               when 'data_no_bytes' then producer.send('key', 42)
               when 'key_no_text' then producer.send(17, 'x')
               when 'key_not_utf8' then producer.send("\x80key", 'x')
               end
    { results: [receipt(delivery.value)] }
  end

  def do_fork(cmd)
    pid = fork do
      do_send(cmd)
      @things[cmd['to']].close
      exit!(0)
    rescue Exception # rubocop:disable Lint/RescueException -- the child must not go on
      exit!(1)
    end
    Process.wait(pid)
    { status: $?.exitstatus } # rubocop:disable Style/SpecialGlobalVars
  end

  # Consumers.

  State = Struct.new(:free, :kept, :handled)

  def do_consumer(cmd)
    behave = cmd['behave'] || {}
    name = cmd['as']
    given = options(cmd['options'])
    state = State.new(Queue.new, {}, 0)
    given[:dead_letter] = ->(r, e) { tell(name, r, event: 'dead', text: e.is_a?(Exception) ? e.message : e.to_s) } if given[:dead_letter]
    if given[:external]
      given[:external] = lambda do |start|
        say({ event: 'start', of: name, shard: start.shard, possession: start.possession })
        @positions[start.shard]
      end
    end
    given[:on_stats] = ->(stats) { say({ event: 'stats', of: name, stats: stats }) } if given[:on_stats]
    handler = if given[:batch]
                lambda do |rs|
                  rs.each { |r| tell(name, r, batch: rs.size) }
                  rs.each { |r| act(name, behave, state, r) }
                end
              else
                lambda do |r|
                  tell(name, r)
                  act(name, behave, state, r)
                end
              end
    @things["#{name} state"] = state
    @things[name] = Vegas::Consumer.new(cmd['stream'], cmd['group'], handler, **given)
  end

  def do_release(cmd)
    @things["#{cmd['of']} state"].free.close
  end

  def do_checkpoint(cmd)
    @things[cmd['of']].checkpoint(@things["#{cmd['of']} state"].kept.fetch(cmd['data']))
  end

  def do_wait(cmd)
    { ended: @things[cmd['of']].wait(limit(cmd)) }
  end

  # Both.

  def do_flush(cmd)
    @things[cmd['of']].flush(limit(cmd))
  end

  def do_close(cmd)
    cmd['limit'] ? @things[cmd['of']].close(limit(cmd)) : @things[cmd['of']].close
  end

  def do_check(cmd)
    @things[cmd['of']].check
  end

  def do_stats(cmd)
    { stats: @things[cmd['of']].stats }
  end

  def do_local(cmd)
    local = @things[cmd['as']] = Vegas::Testing::LocalKinesis.new(streams: cmd['streams'])
    { endpoint: local.endpoint }
  end

  private

  def say(message)
    line = "#{JSON.generate(message)}\n"
    @out.synchronize { $stdout.write(line) }
  end

  def error(err)
    return { code: 'own', text: "#{err.class}: #{err.message}", class: err.class.name } unless err.is_a?(Vegas::VegasError)

    { code: err.code.to_s, text: err.message, remedy: err.remedy.to_s, unknown: err.unknown? ? true : false, class: err.class.name }
  end

  def options(given)
    given.to_h { |o| [o['name'].to_sym, o['type'] == 'duration' ? o['value'] / 1e6 : o['value']] }
  end

  def limit(cmd)
    cmd['limit'] && (cmd['limit'] / 1000.0)
  end

  def payload(record)
    record['data'] || (FILL * ((record['size'] / 251) + 1)).byteslice(0, record['size'])
  end

  def receipt(at)
    { shard: at.shard, sequence: at.sequence, sub: at.sub_sequence, durable: at.durable? ? true : false }
  end

  def result(sent)
    raise sent if sent.is_a?(Exception)

    receipt(sent.value)
  rescue StandardError => e
    { error: error(e) }
  end

  def tell(name, rec, **more)
    data = rec.data
    said = if data.bytesize <= 1024 && data.b.match?(/\A[ -~]*\z/n)
             { data: data.dup.force_encoding(Encoding::UTF_8) }
           else
             { size: data.bytesize, crc: Zlib.crc32(data) }
           end
    say({
      event: 'record', of: name, key: rec.partition_key, shard: rec.shard, sequence: rec.sequence, sub: rec.sub_sequence,
      attempt: rec.attempt, aggregated: rec.aggregated?, hash_key: rec.explicit_hash_key.to_s,
      headers: rec.headers.pairs.map { |k, v| [k, v.dup.force_encoding(Encoding::UTF_8)] }, **said, **more
    })
  end

  def act(name, behave, state, rec)
    text = rec.data.byteslice(0, 1024).force_encoding(Encoding::UTF_8).scrub
    state.kept[text.sub(/\.+\z/, '')] = rec if behave['keep']
    Process.kill(:KILL, Process.pid) && sleep if behave['die'] && text.start_with?(behave['die'])
    state.free.pop if behave['hold'] && text.start_with?(behave['hold'])
    sleep(behave['pause'] / 1000.0) if behave['pause']
    if behave['fail'] && text.start_with?(behave['fail']) && (!behave['times'] || rec.attempt <= behave['times'])
      raise ArgumentError, "cannot handle #{text}"
    end
    every = behave['checkpoint_every']
    @things[name].checkpoint(rec) if every && ((state.handled += 1) % every).zero?
    @positions[rec.shard] = Vegas::Position.new(rec.sequence, rec.sub_sequence)
  end
end

driver = Driver.new
source = ENV['VEGAS_SCENARIO_COMMANDS'] ? File.open(ENV['VEGAS_SCENARIO_COMMANDS']) : $stdin
source.each_line do |line|
  command = JSON.parse(line)
  exit if command['do'] == 'exit'
  Thread.new { driver.answer(command) }
end
sleep # nobody commands any more
