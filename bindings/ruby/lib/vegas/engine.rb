# frozen_string_literal: true

module Vegas
  # The one engine of this process, for all its producers and consumers: started at
  # the first use, again when it has died, and never by a fork alone.
  class Engine
    STARTS = 5 # within a minute are enough

    class << self
      # The engine of this process. A path names its binary, at the first use.
      def current(path = nil)
        LOCK.synchronize do
          @current ||= new(path)
        end.tap { |engine| engine.check(path) }
      end

      # Called in a child, right after the fork.
      def forked
        Binary.abandon
        LOCK.synchronize do
          @current&.abandon
          @current = nil
        end
      end
    end

    LOCK = Mutex.new

    # Sees forks, so that a child holds nothing open that is its parent's. A daemon is
    # its parent's child.
    module Forks
      def _fork
        pid = Binary.undisturbed { super }
        Engine.forked if pid.zero?
        pid
      end

      def daemon(...)
        super.tap { Engine.forked }
      end
    end
    Process.singleton_class.prepend(Forks)

    attr_reader :errand

    def initialize(path)
      @pid = Process.pid
      @path = Binary.find(path)
      @asked = path
      @lock = Mutex.new
      @changed = ConditionVariable.new
      @producers = {}
      @consumers = {}
      @number = 0
      @starts = []
      @errand = Errand.new('vegas log')
      start
      at_exit { finish if Process.pid == @pid }
    end

    # Refuses a second engine beside this one.
    def check(path)
      return if path.nil? || path.empty? || path == @asked || path == @path

      raise BadOptionError, "the option engine is #{path}, and #{@path} runs already: one engine serves a program"
    end

    # The session, once there is one.
    def session
      @lock.synchronize do
        @changed.wait(@lock) until @session || @fatal
        @session || raise(@fatal)
      end
    end

    # Opens what is new by the block, which gets the session: the next one where one dies
    # meanwhile, as long as there is a next one.
    def open
      yield session
    rescue EngineGoneError
      Thread.pass
      raise @fatal if @fatal
      raise if @finishing

      retry
    end

    def call(method, arguments, timeout: nil)
      session.call(method, arguments, timeout: timeout)
    end

    # A number for a producer, a consumer or a local server.
    def number
      @lock.synchronize { @number += 1 }
    end

    # Keeps a member: it hears of its frames, and of the end of a session.
    def keep(kind, number, member)
      @lock.synchronize { members(kind)[number] = member }
    end

    def release(kind, number)
      @lock.synchronize { members(kind).delete(number) }
    end

    # What a session tells, by its reading thread.

    def reported(body)
      @producers[body.unpack1('V')]&.reported(body)
    end

    def delivered(body)
      @consumers[body.unpack1('V')]&.delivered(body)
    end

    def stopped(body)
      @consumers[body.unpack1('V')]&.stopped(body)
    end

    def called(session, call)
      consumer = @consumers[call['consumer']]
      method = call['method']
      if consumer && [Spec::METHOD_START_SHARD, Spec::METHOD_END_SHARD].include?(method)
        consumer.called(session, call)
      else
        text = consumer ? "there is no method #{method}" : "there is no consumer #{call['consumer']}"
        session.answer(call['call'], error: FailedError.new(text))
      end
    end

    def event(map)
      case map['event']
      when 'log' then log(map)
      when 'stats' then member_of(map)&.stats_came(map['stats'])
      when 'consumer_ended' then @consumers[map['consumer']]&.ended(map['error'] && Session.failure(map['error']))
      end
    end

    # The engine has died, or was told to end.
    def lost(session, error)
      members = @lock.synchronize do
        return if @session != session || @finishing

        @session = nil
        @producers.values + @consumers.values
      end
      Vegas.logger.error { "#{error.message}: it is started again" }
      members.each { |member| member.lost(error) }
      Thread.new { start_again(error) }
    end

    # In a forked child, where none of the parent's threads is.
    def abandon
      (@producers.values + @consumers.values).each(&:abandon)
    end

    private

    def members(kind)
      kind == :producer ? @producers : @consumers
    end

    def member_of(map)
      @producers[map['producer']] || @consumers[map['consumer']]
    end

    def start
      @starts << Session.now
      session = Session.new(@path, self)
      @lock.synchronize do
        raise session.error if session.error # it has died already

        @session = session
        @changed.broadcast
      end
      session
    end

    def start_again(error)
      @starts.reject! { |at| Session.now - at > 60 }
      return give_up(error) if @starts.size >= STARTS

      sleep(0.1 * (2**(@starts.size - 1))) unless @starts.empty?
      # Not who comes from now on: they open themselves.
      before = @lock.synchronize { @producers.values + @consumers.values }.uniq
      session = start
      before.each { |member| Thread.new { member.open_again(session) } }
    rescue VegasError => e
      e.is_a?(VersionError) || e.is_a?(EngineMissingError) ? give_up(e) : start_again(e)
    end

    def give_up(error)
      fatal = EngineGoneError.new("the engine has ended, and is not started again: #{error.message}",
                                  remedy: 'see what it wrote to standard error, and start the program anew')
      Vegas.logger.error { fatal.message }
      members = @lock.synchronize do
        @fatal = fatal
        @changed.broadcast
        @producers.values + @consumers.values
      end
      members.each { |member| member.gave_up(fatal) }
    end

    LEVELS = { 'debug' => Logger::DEBUG, 'info' => Logger::INFO, 'warn' => Logger::WARN, 'error' => Logger::ERROR }.freeze

    def log(map)
      level = LEVELS.fetch(map['level'], Logger::ERROR)
      return if level < Vegas.logger.level

      attrs = map['attrs'].is_a?(Hash) ? map['attrs'].map { |k, v| " #{k}=#{v}" }.join : ''
      @errand.offer { Vegas.logger.add(level, "#{map['text']}#{attrs}") }
    end

    # At a normal exit: consumers give their shards back, producers send what they
    # have, and then the engine ends.
    def finish
      consumers, producers = @lock.synchronize { [@consumers.values, @producers.values] }
      (consumers.map { |c| Thread.new { c.finish } }).each(&:join)
      (producers.map { |p| Thread.new { p.finish } }).each(&:join)
      session = @lock.synchronize do
        @finishing = true
        @session
      end
      session&.close(10)
      @errand.finish(1)
    end
  end
end
