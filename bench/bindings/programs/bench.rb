# frozen_string_literal: true

# What the contest of languages has Ruby do. See ../main.go.

require 'json'

ROLE, STREAM, GROUP, WARM_STREAM, WARM_GROUP = ARGV[0, 5]
SIZE, RECORDS, WARM, KEYS, AGGREGATED = ARGV[5, 5].map(&:to_i)
$stdout.sync = true

# Goes on when it was read what this process has cost so far.
def mark(word)
  puts word
  $stdin.gets
end

def done(what = {})
  puts "done #{JSON.generate(what)}"
  $stdin.read # until what it had in memory is read
end

# What is sent.

ALL_KEYS = Array.new(KEYS) { |i| format('customer-%06d', i) }.freeze
FILLER = (8...SIZE).map { |n| n * 31 & 255 }.pack('C*').freeze

def key(i) = ALL_KEYS[i * 7919 % KEYS]

def payload(i) = [i].pack('Q>') << FILLER

def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

# The handler's side: counts each record once.
class Handled
  def initialize(records)
    @seen = "\0".b * records
    @records = records
    @lock = Mutex.new
    @all = Queue.new
    @handled = @twice = 0
    @first = @last = 0.0
  end

  def handle(data)
    i = data.unpack1('Q>')
    @lock.synchronize do
      if @seen.getbyte(i) != 0
        @twice += 1
        next
      end
      @seen.setbyte(i, 1)
      @handled += 1
      @first = now if @handled == 1
      if @handled == @records
        @last = now
        @all << true
      end
    end
  end

  def wait = @all.pop

  def told = { handled: @handled, twice: @twice, seconds: @last - @first }
end

def produce
  p = Vegas::Producer.new(STREAM, aggregate: AGGREGATED == 1)
  send = lambda do |from, to|
    (from...to).each { |i| p.send(key(i), payload(i)) }
    p.flush
  end
  send.call(0, WARM)
  mark('begin')
  send.call(WARM, RECORDS)
  mark('end')
  done
  p.close
end

def read(stream, group, records)
  h = Handled.new(records)
  c = Vegas::Consumer.new(stream, group, store: 'memory') { |r| h.handle(r.data) }
  h.wait
  [c, h]
end

def consume
  read(WARM_STREAM, WARM_GROUP, WARM).first.close
  mark('begin')
  c, h = read(STREAM, GROUP, RECORDS)
  mark('end')
  done(h.told)
  c.close
end

def lines
  h = nil
  while (line = $stdin.gets)
    m = JSON.parse(line)
    case m['action']
    when 'initialize' then h = Handled.new(RECORDS)
    when 'processRecords' then m['records'].each { |r| h.handle(r['data'].unpack1('m0')) }
    end
    puts JSON.generate(action: 'status', responseFor: m['action'])
  end
  puts JSON.generate(h.told)
end

def latency
  p = Vegas::Producer.new(STREAM, linger: 0)
  micros = Array.new(RECORDS) do |i|
    mark('begin') if i == WARM
    began = now
    p.send(key(i), payload(i)).value
    (now - began) * 1e6
  end
  mark('end')
  done(micros: micros.drop(WARM))
  p.close
end

def idle
  p = Vegas::Producer.new(STREAM)
  h = Handled.new(1)
  c = Vegas::Consumer.new(STREAM, 'idle', store: 'memory') { |r| h.handle(r.data) }
  mark('begin')
  p.send(key(0), payload(0)).value
  h.wait
  mark('end')
  done(h.told)
  c.close
  p.close
end

require 'vegas' unless ROLE == 'lines'
__send__(ROLE)
