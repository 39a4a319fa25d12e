# frozen_string_literal: true

module Vegas
  # The conversation with one engine process. One thread reads its frames, one
  # writes what has gathered, so that the busier the program is, the more crosses
  # with one write. Only these two touch the pipes: an interrupt, a timeout or a
  # kill of any other thread leaves no frame cut.
  class Session
    attr_reader :version, :capabilities, :extensions, :path, :error

    # The listener is told, by the reading thread:
    #   called(session, method, arguments)  a call of the engine, to be answered
    #   event(map)
    #   reported(body), delivered(body), stopped(body)
    #   lost(session, error)                once, at the end
    def initialize(path, listener)
      @path = path
      @listener = listener
      @lock = Mutex.new
      @changed = ConditionVariable.new # hello, answers and the end
      @work = ConditionVariable.new # something to write
      @frames = []
      @sources = {} # producers that have records, in the order in which they came
      @calls = {}
      @last_call = 0
      @out, @in, @process = Binary.start(path)
      @reader = thread('vegas reader') { read }
      @writer = thread('vegas writer') { write_all }
      greet
    end

    # Calls the engine and waits for its answer.
    def call(method, arguments, timeout: nil)
      answer = @lock.synchronize do
        raise @error if @error

        number = @last_call += 1
        @calls[number] = nil
        put(Spec::KIND_CALL, Value.encode({ call: number, method: method }.merge(arguments)))
        await(timeout) { @error || @calls[number] }
        @calls[number] || @error || TimeoutError.new("#{method}: no answer within #{timeout} s")
      ensure
        @calls.delete(number)
      end
      raise answer if answer.is_a?(Exception)
      raise Session.failure(answer['error']) if answer['error']

      answer
    end

    def answer(number, results = {}, error: nil)
      results = results.merge(error: { code: error.code, text: error.text }) if error
      write(Spec::KIND_ANSWER, Value.encode(results.merge(call: number)))
    end

    # Sends a frame, without waiting for it.
    def write(kind, body)
      @lock.synchronize { put(kind, body) }
    end

    # Ends the session for what the engine sent.
    def refuse(error)
      write(Spec::KIND_FAIL, Value.encode(error: { code: ProtocolError::CODE, text: error.message }))
      @last_word = ProtocolError.new("the engine sent what cannot be read: #{error.message}", unknown: true)
      @lock.synchronize do
        @closing = true
        @work.signal
      end
    end

    # Notes that a producer has records: its take is called by the writer. It gives
    # a body, or nil when there are none.
    def records(producer)
      @lock.synchronize do
        @sources[producer] = true
        @work.signal
      end
    end

    # Ends the engine: it gives its producers their time, and the value is how it
    # ended, nil if it had not by then.
    def close(timeout)
      @lock.synchronize do
        @closing = true
        @work.signal
      end
      @process.join(timeout)&.value
    end

    # The error that a map of the engine is.
    def self.failure(map, default: 'failed')
      map = {} unless map.is_a?(Hash)
      type = ERRORS[map['code'] || default] || FailedError
      type.new(map['text'].to_s, remedy: map['remedy'], unknown: map['unknown'] == true)
    end

    private

    def thread(name)
      Thread.new do
        Thread.current.name = name
        yield
      end
    end

    def greet
      write(Spec::KIND_HELLO, Value.encode(
                                protocol: [Spec::PROTOCOL, Spec::PROTOCOL], language: 'ruby', version: VERSION,
                                pid: Process.pid, log: log_level
                              ))
      @lock.synchronize do
        await(Spec::HELLO_TIMEOUT / 1_000_000.0) { @error || @version }
        return if @version

        @error ||= EngineMissingError.new("the engine #{@path} did not say hello within #{Spec::HELLO_TIMEOUT / 1_000_000} s", remedy: Binary::REMEDY)
      end
      kill
      raise @error
    end

    def log_level
      { Logger::DEBUG => 'debug', Logger::INFO => 'info', Logger::WARN => 'warn' }.fetch(Vegas.logger.level, 'error')
    end

    # Waits until the block says so, with @lock held.
    def await(timeout)
      limit = timeout && (Session.now + timeout)
      until (found = yield)
        left = limit && (limit - Session.now)
        return if left && left <= 0

        @changed.wait(@lock, left)
      end
      found
    end

    def self.now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end

    def put(kind, body)
      return if @error

      @frames.push([body.bytesize + 1, kind].pack('VC'), body) # in one step: Ctrl-C may come between two
      @work.signal
    end

    # The writing thread. What sources have at the time a frame was put goes before
    # that frame, so that a call concerns all records sent before it.
    def write_all
      loop do
        frames, sources = @lock.synchronize do
          @work.wait(@lock) while @frames.empty? && @sources.empty? && !@closing && !@error
          break if @error || (@closing && @frames.empty? && @sources.empty?)

          taken = [@frames, @sources.keys]
          @frames = []
          @sources = {}
          taken
        end
        break unless frames

        sources.each do |source|
          while (body = source.take(self))
            @out.write([body.bytesize + 1, Spec::KIND_SEND].pack('VC'), body)
          end
        end
        @out.write(*frames) unless frames.empty?
      end
    rescue SystemCallError, IOError
      nil # the reader learns of the end
    ensure
      @out.close
    end

    # The reading thread.
    def read
      problem = nil
      while (head = @in.read(5))
        size, kind = head.unpack('VC')
        if head.bytesize < 5 || size < 1 || size > Spec::FRAME_BYTES
          problem = "it sent a frame of #{size.inspect} bytes"
          break
        end
        body = @in.read(size - 1) || ''.b
        break if body.bytesize < size - 1

        take(kind, body)
      end
    rescue StandardError => e
      problem = "it sent what cannot be read: #{e.message}"
    ensure
      ended(problem)
    end

    def take(kind, body)
      case kind
      when Spec::KIND_REPORT then @listener.reported(body)
      when Spec::KIND_DELIVER then @listener.delivered(body)
      when Spec::KIND_STOP then @listener.stopped(body)
      when Spec::KIND_HELLO then greeted(Value.decode(body))
      when Spec::KIND_ANSWER
        map = Value.decode(body)
        @lock.synchronize do
          @calls[map['call']] = map if @calls.key?(map['call'])
          @changed.broadcast
        end
      when Spec::KIND_CALL then @listener.called(self, Value.decode(body))
      when Spec::KIND_EVENT then @listener.event(Value.decode(body))
      when Spec::KIND_FAIL then @last_word = Session.failure(Value.decode(body)['error'])
      end
    end

    def greeted(map)
      raise Value::Malformed, 'hello is no map with a version' unless map.is_a?(Hash) && map['protocol'] == Spec::PROTOCOL

      @lock.synchronize do
        @version = map['version']
        @capabilities = map['capabilities'] || []
        @extensions = map['extensions'] || []
        @changed.broadcast
      end
    end

    def ended(problem)
      greeted = @version
      error = @last_word unless greeted
      error ||= EngineMissingError.new("#{@path} is no engine of vegas#{": #{problem}" if problem}", remedy: Binary::REMEDY) unless greeted
      why = @last_word&.text || problem
      error ||= EngineGoneError.new("the engine has ended#{": #{why}" if why}", remedy: @last_word&.remedy, unknown: true)
      kill if problem && greeted.nil?
      @lock.synchronize do
        @error = error
        @changed.broadcast
        @work.broadcast
      end
      @in.close
      @listener.lost(self, error) if greeted
    end

    def kill
      Process.kill(:KILL, @process.pid) if @process.alive?
    rescue SystemCallError
      nil # it has ended
    end
  end
end
