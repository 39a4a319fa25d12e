# frozen_string_literal: true

require 'vegas'

# Notes by which a program and its engine tell each other, and the test, what was.
module Notes
  FILE = File.join(File.dirname(ENV.fetch('VEGAS_ENGINE')), 'notes')

  module_function

  def note(text)
    File.write(FILE, "#{text}\n", mode: 'a')
  end

  # Waits for it.
  def noted(text)
    sleep 0.01 until File.exist?(FILE) && File.readlines(FILE, chomp: true).include?(text)
  end
end

# An engine that does as a test says: a script that begins with this, starts in each
# session anew, and knows by START in which one it is.
module FakeEngine
  DIR = File.dirname(Notes::FILE)
  START = Dir[File.join(DIR, 'start-*')].size + 1

  module_function

  def frame(kind, body)
    $stdout.write([body.bytesize + 1, kind].pack('VC'), body)
    $stdout.flush
  end

  def value(kind, map)
    frame(kind, Vegas::Value.encode(map))
  end

  def answer(call, **results)
    results = { window_bytes: 1 << 20, record_cost: 10 } if call['method'] == 'open_producer' && results.empty?
    value(Vegas::Spec::KIND_ANSWER, { call: call['call'], **results })
  end

  def start_shard(consumer, shard, id)
    value(Vegas::Spec::KIND_CALL, { call: shard, method: 'start_shard', consumer: consumer, shard: shard, id: id, possession: shard,
                                    sequence: 'TRIM_HORIZON', sub: 0, takeovers: 0 })
  end

  # A chunk of one record.
  def deliver(consumer, shard, data)
    row = [data.bytesize, 0, 3, 0, 1, 0, 1, 0, 0].pack(Vegas::Chunk::ROW)
    frame(Vegas::Spec::KIND_DELIVER, [consumer, shard, 0, 0, 0, 1, 0].pack('VVVVCVV') + row + "key1#{data}".b)
  end

  # All records of a frame of them are stored.
  def stored(body)
    producer, first, count = body.unpack('VQ<V')
    place = "shard\x001"
    frame(Vegas::Spec::KIND_REPORT, [producer, 1].pack('VV') + [0, place.bytesize, count].pack('CxvV') + place.b +
                                    (first...(first + count)).flat_map { |n| [n, 0] }.pack('q<*'))
  end

  # Greets, and yields calls by their names, and other frames by their kinds.
  def run
    File.write(File.join(DIR, "start-#{START}"), '')
    [$stdin, $stdout].each(&:binmode)
    while (head = $stdin.read(5))
      size, kind = head.unpack('VC')
      body = $stdin.read(size - 1)
      case kind
      when Vegas::Spec::KIND_HELLO
        value(Vegas::Spec::KIND_HELLO, { protocol: 1, version: '0', pid: Process.pid, capabilities: [], extensions: [] })
      when Vegas::Spec::KIND_CALL
        call = Vegas::Value.decode(body)
        yield call['method'], call
      else yield kind, body
      end
    end
  end
end
